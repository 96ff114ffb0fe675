/** The built server, killed in the middle of everything: what it had acknowledged and what it had started go on. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAlive, startTimeOf } from '../../src/process-identity.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';

let project: Project;

const executable = (script: string): string =>
  `{executable: {path: sh, arguments: [-c, ${JSON.stringify(script)}]}}`;

beforeEach(() => {
  project = new Project({
    'coral.config.yaml': CONFIG,
    // Counts for ever, on its output and in a file.
    'agents/ticker.yaml': definition(
      'ticker',
      executable('echo pid $$; i=0; while :; do i=$((i+1)); echo tick $i; echo $i > ticks; sleep 0.02; done'),
    ),
    'agents/talker.yaml': definition(
      'talker',
      // What it prints is masked.
      executable('echo $CORAL_CONNECTION_URL > url; echo pid $$; exec sleep 600'),
    ),
    'agents/leaver.yaml': definition(
      'leaver',
      executable('echo pid $$; until test -e go; do sleep 0.02; done; echo leaving; exit 7'),
    ),
    'teams/trio.yaml':
      'agents: {ticker: {use: ticker}, talker: {use: talker}, leaver: {use: leaver}}\nsession: {ttl: 1h}',
    'teams/ticks.yaml': 'agents: {ticker: {use: ticker}}',
  });
});
afterEach(() => project.remove());

/** A zombie that nobody has buried yet lives no more. */
const alive = (pid: string | number): boolean => startTimeOf(Number(pid)) !== undefined;

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    if (waited > 30_000) throw new Error(`It never came to this: ${what}.`);
    await pause(20);
  }
}

const keeperFile = (): string => join(project.folder, '.coral', 'keeper', 'keeper.json');
interface KeeperFile {
  pid: number;
  startTime: string;
  socket: string;
}
const keeper = (): KeeperFile => JSON.parse(readFileSync(keeperFile(), 'utf8')) as KeeperFile;
const ticks = (): number => Number(readFileSync(join(project.folder, 'agents', 'ticks'), 'utf8'));

interface Exit {
  readonly reason: string;
  readonly exitCode?: number;
  readonly time: string;
}
interface ShownAgent {
  readonly name?: string;
  readonly base?: { readonly name: string };
  readonly exit?: Exit;
  readonly status?: { readonly exit?: Exit };
}
interface Shown {
  readonly base: { readonly timestamp: string; readonly status: { readonly type: string } };
  readonly agents: readonly ShownAgent[];
}

const show = async (): Promise<Shown> => JSON.parse((await project.coral(['show', '--json'])).out) as Shown;
const exitOf = (shown: Shown, name: string): Exit | undefined => {
  const found = shown.agents.find((one) => (one.base?.name ?? one.name) === name);
  return found?.exit ?? found?.status?.exit;
};

/** Asks until an agent's exit is known. */
async function exitSeen(name: string): Promise<{ shown: Shown; exit: Exit }> {
  for (;;) {
    const shown = await show();
    const exit = exitOf(shown, name);
    if (exit !== undefined) return { shown, exit };
  }
}

/** What an agent printed, as the server kept it. */
async function printed(name: string): Promise<string[]> {
  const { out } = await project.coral(['logs', '--json', '--agent', name]);
  return out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
}

/** Starts a team on the running server and resolves with the pids of its agents. */
async function begin(team: string, agents: readonly string[]): Promise<Record<string, string>> {
  const run = project.start(['run', team, '--logs']);
  const pids: Record<string, string> = {};
  for (const name of agents) {
    const [, pid = ''] = await run.saw(new RegExp(`${name} +\\| pid (\\d+)`));
    pids[name] = pid;
  }
  await run.kill();
  return pids;
}

interface ToolAnswer {
  readonly thread: { readonly id: string };
  readonly message: { readonly threadId: string };
}

async function callTool(url: string, name: string, args: unknown): Promise<ToolAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
  });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  const { result } = JSON.parse(text) as { result: { isError?: boolean; content: [{ text: string }] } };
  expect(result.isError, text).not.toBe(true);
  return JSON.parse(result.content[0].text) as ToolAnswer;
}

async function expectNothingLeft(pids: Record<string, string>, kept: KeeperFile): Promise<void> {
  for (const [name, pid] of Object.entries(pids)) expect(alive(pid), name).toBe(false);
  await until('the keeper is gone', () => !isAlive(kept));
  expect(existsSync(kept.socket)).toBe(false);
  expect(existsSync(keeperFile())).toBe(false);
  expect(readdirSync(join(project.folder, '.coral', 'keeper', 'agents'))).toEqual([]);
}

describe('a server that is killed with agents that run', () => {
  it('is followed by one that goes on: same processes, same secrets, nothing said is lost', async () => {
    const first = await project.serve();
    const pids = await begin('trio', ['ticker', 'talker', 'leaver']);
    const url = readFileSync(join(project.folder, 'agents', 'url'), 'utf8').trim();
    const { thread } = await callTool(url, 'coral_create_thread', {
      threadName: 'before',
      participantNames: ['ticker'],
    });
    await callTool(url, 'coral_send_message', { threadId: thread.id, content: 'hello', mentions: [] });
    const kept = keeper();
    const created = (await show()).base.timestamp;

    await first.server.kill();
    const killedAt = ticks();
    project.write('agents/go', '');
    await until('the leaver has left', () => !alive(pids['leaver']!));
    await until('the ticker goes on', () => ticks() > killedAt + 20);

    const leftBy = Date.now();
    const second = await project.serve();
    expect(second.url).toBe(first.url);
    expect(keeper()).toEqual(kept);
    expect([alive(pids['ticker']!), alive(pids['talker']!)]).toEqual([true, true]);
    const { shown, exit } = await exitSeen('leaver');
    expect(shown.base.timestamp).toBe(created);
    expect(exit).toMatchObject({ reason: 'failed', exitCode: 7 });
    expect(Date.parse(exit.time)).toBeLessThanOrEqual(leftBy);
    expect(await printed('leaver')).toEqual([`pid ${pids['leaver']}`, 'leaving']);

    const { message } = await callTool(url, 'coral_send_message', {
      threadId: thread.id,
      content: 'hello again',
      mentions: [],
    });
    expect(message.threadId).toBe(thread.id);
    expect((await project.coral(['show'])).out).toMatch(/hello[\s\S]*hello again/);

    // Killed once more, so that the place in the output is found in the middle of what was read before.
    await second.server.kill();
    await project.serve();
    const seen = ticks();
    let lines = await printed('ticker');
    for (; lines.length <= seen; lines = await printed('ticker'));
    const expected = Array.from({ length: lines.length - 1 }, (_, i) => `tick ${i + 1}`);
    expect(lines).toEqual([`pid ${pids['ticker']}`, ...expected]);

    expect((await project.coral(['stop', '--all'])).code).toBe(0);
    await expectNothingLeft(pids, kept);
  });

  it('and by none for as long as the keeper was told to wait: then its agents end with it', async () => {
    project.write('coral.config.yaml', `${CONFIG}keeper: {orphanTimeout: 500ms}\n`);
    const { server } = await project.serve();
    const pids = await begin('ticks', ['ticker']);
    const kept = keeper();
    await server.kill();
    await until('the agent has ended', () => !alive(pids['ticker']!));
    await until('the keeper is gone', () => !isAlive(kept));
  });

  it('and its keeper too: agents run on, are lost when they end, and can still be stopped', async () => {
    const { server } = await project.serve();
    const pids = await begin('trio', ['ticker', 'talker', 'leaver']);
    const before = keeper();
    await server.kill();
    process.kill(before.pid, 'SIGKILL');
    await until('the keeper is gone', () => !isAlive(before));

    await project.serve();
    await until('there is another keeper', () => existsSync(keeperFile()) && keeper().pid !== before.pid);
    expect([alive(pids['talker']!), alive(pids['leaver']!)]).toEqual([true, true]);
    project.write('agents/go', '');
    expect((await exitSeen('leaver')).exit.reason).toBe('lost');
    const kept = keeper();
    expect((await project.coral(['stop', '--all'])).code).toBe(0);
    await expectNothingLeft(pids, kept);
  });
});

describe('a keeper that is killed under a server that runs', () => {
  it('is replaced; its agents can be stopped and new ones start', async () => {
    const { server } = await project.serve();
    const pids = await begin('trio', ['talker']);
    const before = keeper();
    process.kill(before.pid, 'SIGKILL');
    await until('there is another keeper', () => existsSync(keeperFile()) && keeper().pid !== before.pid);
    expect(alive(pids['talker']!)).toBe(true);
    const later = await begin('ticks', ['ticker']);
    expect(alive(later['ticker']!)).toBe(true);
    server.signal('SIGTERM');
    const kept = keeper();
    expect((await server.finished()).code).toBe(0);
    await expectNothingLeft({ ...pids, ...later }, kept);
  });
});

describe('a server that is stopped', () => {
  it('takes its agents and its keeper along', async () => {
    const { server } = await project.serve();
    const pids = await begin('ticks', ['ticker']);
    const kept = keeper();
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    await expectNothingLeft(pids, kept);
  });

  it('leaves them when told so, and the next one goes on', async () => {
    const { server } = await project.serve(['--keep-agents']);
    const pids = await begin('ticks', ['ticker']);
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
    expect(alive(pids['ticker']!)).toBe(true);
    // Looking at it from a command does not end it either.
    expect((await show()).base.status.type).not.toBe('closed');
    expect(alive(pids['ticker']!)).toBe(true);

    const again = await project.serve();
    expect(alive(pids['ticker']!)).toBe(true);
    again.server.signal('SIGTERM');
    const kept = keeper();
    expect((await again.server.finished()).code).toBe(0);
    await expectNothingLeft(pids, kept);
  });

  it('leaves what `coral stop --all` ends without any server', async () => {
    const { server } = await project.serve(['--keep-agents']);
    const pids = await begin('ticks', ['ticker']);
    server.signal('SIGTERM');
    await server.finished();
    const kept = keeper();
    expect((await project.coral(['stop', '--all'])).code).toBe(0);
    await expectNothingLeft(pids, kept);
    expect((await show()).base.status.type).toBe('closed');
  });
});
