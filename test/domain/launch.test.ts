import { DEFAULT_TIMEOUTS, NO_RESTART } from '../../src/domain/definition.ts';
import { describe, expect, it } from 'vitest';
import type { AgentPlan, RuntimePlan } from '../../src/domain/graph.ts';
import { launchSpec } from '../../src/domain/launch.ts';
import type { LaunchInput } from '../../src/domain/launch.ts';
import { hasSealed, sealVariables, type SealedValues } from '../../src/domain/sealed.ts';

const executable: RuntimePlan = {
  kind: 'executable',
  path: './run.sh',
  arguments: [],
  transport: 'streamable_http',
  environment: {},
  inheritEnvironment: [],
};

const plan = (more: Partial<AgentPlan> = {}): AgentPlan => ({
  name: 'reader',
  id: { name: 'reader', version: '1.0.0', registrySourceId: { type: 'local' } },
  runtime: executable,
  folder: '/agents/reader',
  options: {},
  blocking: false,
  tools: [],
  plugins: [],
  annotations: {},
  links: [],
  restart: NO_RESTART,
  timeouts: DEFAULT_TIMEOUTS,
  ...more,
});

const input = (more: Partial<LaunchInput> = {}): LaunchInput => ({
  labels: { instance: 'i', session: 's-1', agent: 'reader', attempt: 1 },
  namespace: 'default',
  plan: plan(),
  sealed: {},
  secret: 'agent-secret',
  address: '127.0.0.1:5555',
  version: '1.0.0',
  ...more,
});

describe('the environment of a launched agent', () => {
  it('says where the server is and who the agent is', () => {
    expect(launchSpec(input()).environment).toEqual({
      CORAL_CONNECTION_URL: 'http://127.0.0.1:5555/mcp/v1/agent-secret/mcp',
      CORAL_AGENT_ID: 'reader',
      CORAL_AGENT_SECRET: 'agent-secret',
      CORAL_SESSION_ID: 's-1',
      CORAL_API_URL: 'http://127.0.0.1:5555',
      CORAL_RUNTIME_ID: 'executable',
      CORAL_SEND_CLAIMS: '0',
    });
  });

  it('names the endpoint of the transport in the definition, with its trailing slash for sse', () => {
    const spec = launchSpec(input({ plan: plan({ runtime: { ...executable, transport: 'sse' } }) }));
    expect(spec.environment['CORAL_CONNECTION_URL']).toBe('http://127.0.0.1:5555/mcp/v1/agent-secret/sse/');
  });

  it('carries the system prompt only when there is one', () => {
    const spec = launchSpec(input({ plan: plan({ systemPrompt: 'Be brief.' }) }));
    expect(spec.environment['CORAL_PROMPT_SYSTEM']).toBe('Be brief.');
    expect(launchSpec(input()).environment).not.toHaveProperty('CORAL_PROMPT_SYSTEM');
  });

  it('lets options win over fixed variables, the server over both, and extra variables over all', () => {
    const spec = launchSpec(
      input({
        plan: plan({
          runtime: { ...executable, environment: { A: 'fixed', B: 'fixed', CORAL_AGENT_ID: 'fixed' } },
          options: {
            B: { transport: 'env', base64: false, value: { type: 'string', value: 'option' } },
            CORAL_API_URL: { transport: 'env', base64: false, value: { type: 'string', value: 'option' } },
            CORAL_SESSION_ID: { transport: 'fs', base64: false, value: { type: 'string', value: 'option' } },
          },
        }),
        extraEnvironment: { CORAL_SEND_CLAIMS: '1' },
      }),
    );
    expect(spec.environment).toMatchObject({
      A: 'fixed',
      B: 'option',
      CORAL_AGENT_ID: 'reader',
      CORAL_API_URL: 'http://127.0.0.1:5555',
      CORAL_SESSION_ID: 's-1',
      CORAL_SEND_CLAIMS: '1',
    });
    expect(spec.files).toEqual([]);
  });

  it('leaves out options without a value and hands fs options over as files, not variables', () => {
    const spec = launchSpec(
      input({
        plan: plan({
          runtime: { ...executable, environment: { CERT: 'fixed' } },
          options: {
            NOTHING: { transport: 'env', base64: false },
            CERT: { transport: 'fs', base64: false, value: { type: 'list[u16]', value: [1, 258] } },
          },
        }),
      }),
    );
    expect(spec.environment).not.toHaveProperty('NOTHING');
    expect(spec.environment).not.toHaveProperty('CERT');
    expect(spec.files.map(({ variable, parts }) => [variable, ...parts.map((part) => [...part])])).toEqual([
      ['CERT', [0, 1], [1, 2]],
    ]);
  });

  it('takes secret options from the vault and remembers every form of them to mask', () => {
    const spec = launchSpec(
      input({
        plan: plan({
          options: {
            KEY: { transport: 'env', base64: false, sealed: true },
            KEYS: { transport: 'env', base64: true, sealed: true },
          },
        }),
        sealed: {
          'reader/KEY': JSON.stringify({ type: 'string', value: 'k-123' }),
          'reader/KEYS': JSON.stringify({ type: 'list[string]', value: ['one,', 'two'] }),
        },
      }),
    );
    expect(spec.environment).toMatchObject({ KEY: 'k-123', KEYS: 'b25lLA==,dHdv' });
    expect(spec.secrets).toEqual(['agent-secret', 'k-123', 'b25lLA==,dHdv', 'one,', 'two']);
  });

  it('does not start an agent whose secret is missing', () => {
    const sealed = plan({ options: { KEY: { transport: 'env', base64: false, sealed: true } } });
    expect(() => launchSpec(input({ plan: sealed }))).toThrow(/reader\/KEY/);
  });
});

describe('fixed variables whose names look secret', () => {
  const fixed = {
    ...executable,
    environment: { DB_PASSWORD: 'open-sesame', USE_TOKEN: 'yes', LEVEL: 'debug' },
  };

  it('leave the plan for the vault, and come back at the launch, to be masked', () => {
    const sealed: SealedValues = {};
    const runtime = sealVariables('reader', fixed, sealed);
    expect(JSON.stringify(runtime)).not.toMatch(/open-sesame|yes/);
    expect(hasSealed(plan({ runtime }))).toBe(true);
    const { environment, secrets } = launchSpec(input({ plan: plan({ runtime }), sealed }));
    expect(environment).toMatchObject(fixed.environment);
    // A short word is no secret: hiding every `yes` would hide nothing.
    expect(secrets).toEqual(['agent-secret', 'open-sesame']);
  });

  it('stop a launch when they are gone from the vault', () => {
    const runtime = sealVariables('reader', fixed, {});
    expect(() => launchSpec(input({ plan: plan({ runtime }) }))).toThrow(/no longer in the vault/);
  });

  it('cost nothing where there are none', () => {
    expect(sealVariables('reader', executable, {})).toBe(executable);
    expect(hasSealed(plan())).toBe(false);
  });
});
