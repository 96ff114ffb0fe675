/**
 * Every command in the README does what it says: all blocks of commands are run in order, as one shell session, in a
 * fresh copy of what is published. Blocks that are not run say why, right there.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blocksOf, DOCUMENTS } from './markdown.ts';
import { ROOT, textOf } from './sources.ts';

/** What a package holds, and the configuration that makes the repository an example. */
const PUBLISHED = ['dist', 'registry', 'agents', 'templates', 'docs', 'package.json', 'coral.config.yaml'];

const home = mkdtempSync(join(tmpdir(), 'coral-readme-'));
const copy = join(home, 'coral');

beforeAll(() => {
  mkdirSync(copy);
  for (const name of PUBLISHED) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  mkdirSync(join(home, 'bin'));
  const program = `#!/bin/sh\nexec ${JSON.stringify(process.execPath)} ${JSON.stringify(join(copy, 'dist/main.js'))} "$@"\n`;
  writeFileSync(join(home, 'bin', 'coral'), program, { mode: 0o755 });
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('the README', () => {
  const commands = blocksOf(textOf('README.md')).filter(({ language }) => language === 'sh');

  it('opens with the two commands', () => {
    expect(commands[0]?.text).toBe('npm ci && npm run demo\nnpm ci && npm test\n');
  });

  it('holds commands that all work', { timeout: 240_000 }, async () => {
    const port = await freePort();
    const script = commands
      .filter(({ notRun }) => notRun === undefined)
      .map(({ text, line }) => `echo "=== line ${line}"; cd "$REPOSITORY"\n${text}`)
      .join('\n')
      .replaceAll('5555', String(port));
    const configuration = join(copy, 'coral.config.yaml');
    writeFileSync(configuration, readFileSync(configuration, 'utf8').replaceAll('5555', String(port)));

    const { code, output } = await bash(`set -euo pipefail\n${script}`);

    expect(code, output).toBe(0);
    // The demo team, the scaffolded one, and the session over HTTP came to their ends.
    expect(output).toContain('writer closed the session');
    expect(output).toContain('That question has 5 words.');
    expect(output).toMatch(/"type":"thread_message_sent"/);
    expect(readFileSync(join(copy, 'report.md'), 'utf8')).toContain('# coral: a survey');
    expect(readFileSync(join(copy, 'docs-report.md'), 'utf8')).toContain('Markdown');
  });
});

describe('snippets that name a file', () => {
  it('are that file', () => {
    const differing = DOCUMENTS.flatMap((document) =>
      blocksOf(textOf(document))
        .filter(({ file, text }) => file !== undefined && textOf(file) !== text)
        .map(({ file, line }) => `${document}:${line} is not ${file ?? ''} any more.`),
    );
    expect(differing).toEqual([]);
  });
});

describe('commands in other documents', () => {
  it('say why they are not run', () => {
    const silent = DOCUMENTS.filter((document) => document !== 'README.md').flatMap((document) =>
      blocksOf(textOf(document))
        .filter(({ language, notRun }) => language === 'sh' && notRun === undefined)
        .map(({ line }) => `${document}:${line}`),
    );
    expect(silent).toEqual([]);
  });
});

/** Runs a script in a process group of its own, and leaves nothing of it. */
async function bash(script: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('bash', ['-c', script], {
    cwd: copy,
    detached: true,
    env: {
      PATH: `${join(home, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      REPOSITORY: copy,
      NO_COLOR: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  try {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  } catch {
    // Nothing was left: good.
  }
  return { code, output };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
