/**
 * The public conformance suite of MCP against our door: everything that the revisions 2025-11-25 and 2026-07-28 ask of
 * servers. What cannot apply to us is listed below with the reason; a scenario that passes must not be listed.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { conformanceTools } from '../support/conformance-tools.ts';
import { startMcp } from '../support/mcp-server.ts';

const NO_PROMPTS = 'we have no prompts';
const NO_RESOURCES = 'we have no resources but our own two, and the scenario reads its own';
const NO_ASKING = 'our server asks nothing of clients: no sampling, no elicitation, no roots';
const NO_TASKS = 'the tasks extension is not offered';

/** Scenarios that cannot apply, and why; with `checks` only these of their checks cannot. */
const NOT_APPLICABLE: Readonly<Record<string, { why: string; checks?: readonly string[] }>> = {
  'completion-complete': { why: 'nothing of ours takes an argument that could be completed' },
  'tools-call-with-logging': { why: 'we log nothing to clients' },
  'tools-call-sampling': { why: NO_ASKING },
  'tools-call-elicitation': { why: NO_ASKING },
  'elicitation-sep1034-defaults': { why: NO_ASKING },
  'elicitation-sep1330-enums': { why: NO_ASKING },
  'resources-read-text': { why: NO_RESOURCES },
  'resources-read-binary': { why: NO_RESOURCES },
  'resources-templates-read': { why: NO_RESOURCES },
  'resources-subscribe': { why: NO_RESOURCES },
  'resources-unsubscribe': { why: NO_RESOURCES },
  'prompts-get-simple': { why: NO_PROMPTS },
  'prompts-get-with-args': { why: NO_PROMPTS },
  'prompts-get-embedded-resource': { why: NO_PROMPTS },
  'prompts-get-with-image': { why: NO_PROMPTS },
  'server-stateless': {
    why: NO_ASKING,
    checks: [
      'sep-2575-server-rejects-undeclared-capability',
      'sep-2575-missing-capability-http-400',
      'sep-2575-http-server-no-independent-requests-on-stream',
    ],
  },
  'input-required-result-basic-elicitation': { why: NO_ASKING },
  'input-required-result-basic-sampling': { why: NO_ASKING },
  'input-required-result-basic-list-roots': { why: NO_ASKING },
  'input-required-result-request-state': { why: NO_ASKING },
  'input-required-result-multiple-input-requests': { why: NO_ASKING },
  'input-required-result-multi-round': { why: NO_ASKING },
  'input-required-result-non-tool-request': { why: NO_ASKING },
  'input-required-result-result-type': { why: NO_ASKING },
  'input-required-result-tampered-state': { why: NO_ASKING },
  'input-required-result-capability-check': { why: NO_ASKING },
  'tasks-lifecycle': { why: NO_TASKS },
  'tasks-capability-negotiation': { why: NO_TASKS },
  'tasks-wire-fields': { why: NO_TASKS },
  'tasks-request-state-removal': { why: NO_TASKS },
  'tasks-mrtr-input': { why: NO_TASKS },
  'tasks-request-headers': { why: NO_TASKS },
  'tasks-dispatch-and-envelope': { why: NO_TASKS },
  'tasks-required-task-error': { why: NO_TASKS },
  'tasks-mrtr-composition': { why: NO_TASKS },
  'http-custom-header-server-validation': { why: 'no tool of ours mirrors an argument in a header' },
};

/** What must be among the scenarios that pass, whatever the suite adds or renames. */
const MUST_PASS: Readonly<Record<string, readonly string[]>> = {
  '2025-11-25': [
    'server-initialize',
    'server-session-lifecycle',
    'logging-set-level',
    'ping',
    'tools-list',
    'tools-call-simple-text',
    'tools-call-error',
    'tools-call-with-progress',
    'server-sse-multiple-streams',
    'resources-list',
    'prompts-list',
    'dns-rebinding-protection',
  ],
  '2026-07-28': [
    'tools-list',
    'tools-call-simple-text',
    'tools-call-error',
    'tools-call-with-progress',
    'server-sse-multiple-streams',
    'resources-list',
    'sep-2164-resource-not-found',
    'prompts-list',
    'dns-rebinding-protection',
    'caching',
    'http-header-validation',
  ],
};

interface Check {
  readonly id: string;
  readonly status: string;
  readonly errorMessage?: string;
}

/** Runs all that a revision requires; the checks by scenario. */
async function run(revision: string, url: string): Promise<Map<string, readonly Check[]>> {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const main = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json');
    const child = spawn(
      process.execPath,
      [
        '--import',
        fileURLToPath(new URL('../support/conformance-on-node-20.mjs', import.meta.url)),
        join(main, '../dist/index.js'),
        ...['server', '--url', url, '--requirements', revision, '--output-dir', folder],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    await new Promise((resolve) => child.once('close', resolve));
    const found = new Map<string, readonly Check[]>();
    for (const name of await readdir(folder)) {
      const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT/.exec(name)?.[1];
      if (scenario === undefined) continue;
      found.set(scenario, JSON.parse(await readFile(join(folder, name, 'checks.json'), 'utf8')));
    }
    if (found.size === 0) throw new Error(`the suite ran nothing:\n${output.slice(-2000)}`);
    return found;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe.each(Object.keys(MUST_PASS))('the conformance suite, revision %s', (revision) => {
  it('passes in everything that can apply', async () => {
    const loopback = /^(http:\/\/)?(localhost|127\.0\.0\.1)(:\d+)?$/;
    const mcp = await startMcp(
      { writer: {} },
      {
        extraTools: conformanceTools,
        allowHost: ({ headers }) =>
          loopback.test(headers.host ?? '') && loopback.test(headers.origin ?? 'localhost')
            ? undefined
            : 'Requests come from this machine only.',
      },
    );
    try {
      const scenarios = await run(revision, mcp.url('writer'));
      const wrong: string[] = [];
      const passed: string[] = [];
      for (const [scenario, checks] of scenarios) {
        const failed = checks.filter(({ status }) => status === 'FAILURE');
        const listed = NOT_APPLICABLE[scenario];
        if (failed.length === 0) {
          passed.push(scenario);
          if (listed !== undefined) wrong.push(`${scenario} passes: take it off the list`);
          continue;
        }
        for (const { id, errorMessage } of failed) {
          const excused = listed !== undefined && (listed.checks?.includes(id) ?? id !== 'wire-schema-valid');
          if (!excused) wrong.push(`${scenario}, ${id}: ${errorMessage}`);
        }
      }
      expect(wrong).toEqual([]);
      expect(passed).toEqual(expect.arrayContaining([...(MUST_PASS[revision] ?? [])]));
      expect(mcp.warnings).toEqual([]);
    } finally {
      await mcp.stop();
    }
  }, 300_000);
});
