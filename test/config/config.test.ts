import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig, settingOf, type Config, type ConfigSources } from '../../src/config.ts';
import { describeFault } from '../../src/cli/faults.ts';

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'coral-config-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Given {
  yaml?: string;
  toml?: string;
  flags?: string[];
  environment?: Record<string, string>;
}

function read({ yaml, toml, flags = [], environment = {} }: Given): { config?: Config; faults: string[] } {
  if (yaml !== undefined) writeFileSync(join(folder, 'coral.config.yaml'), yaml);
  if (toml !== undefined) writeFileSync(join(folder, 'coral.config.toml'), toml);
  const sources: ConfigSources = { cwd: folder, environment, flags: flags.map((flag) => settingOf(flag)!) };
  const { config, faults } = readConfig(sources);
  return { ...(config ? { config } : {}), faults: faults.map((fault) => describeFault(fault, folder)) };
}

describe('a configuration', () => {
  it('has every default without a file, and keeps its state in the current folder', () => {
    const { config, faults } = read({});
    expect(faults).toEqual([]);
    expect(config).toMatchObject({
      folder,
      stateDir: join(folder, '.coral'),
      teams: [],
      auth: { keys: [] },
      network: { bindAddress: '127.0.0.1', bindPort: 5555, trustProxy: false, allowAnyHost: false },
      registry: {
        localAgents: [],
        includeCoralHomeAgents: true,
        watchLocalAgents: true,
        includeDebugAgents: false,
      },
      session: { stateMessageLimit: 500 },
      logging: { logBufferSize: 32768, maxReplay: 2048, consoleLogLevel: 'info' },
      llmProxy: { retryBaseDelay: 1000, maxRequestSize: 20 * 1024 * 1024, providers: [] },
      console: { enabled: true },
      journal: { kind: 'sqlite', sync: 'normal' },
      docker: { containerTemporaryDirectory: '/tmp', profile: 'standard', policy: { gpus: false } },
    });
    expect(config?.file).toBeUndefined();
  });

  it.each(['bindPort', 'bind-port', 'bind_port'])('takes the spelling %s everywhere alike', (key) => {
    expect(read({ yaml: `network: {${key}: 1}` }).config?.network.bindPort).toBe(1);
    expect(read({ flags: [`--network.${key}=2`] }).config?.network.bindPort).toBe(2);
    const variable = `CORAL_CONFIG__NETWORK__${key.replace('-', '_').toUpperCase()}`;
    expect(read({ environment: { [variable]: '3' } }).config?.network.bindPort).toBe(3);
  });

  it('lets flags win over variables and variables over the file', () => {
    const yaml = 'network: {bindPort: 1, bindAddress: 0.0.0.0, externalAddress: example.org}';
    const environment = {
      CORAL_CONFIG__NETWORK__BIND_PORT: '2',
      CORAL_CONFIG__NETWORK__BIND_ADDRESS: '127.0.0.2',
    };
    const { config } = read({ yaml, environment, flags: ['--network.bind-port=3'] });
    expect(config?.network).toMatchObject({
      bindPort: 3,
      bindAddress: '127.0.0.2',
      externalAddress: 'example.org',
    });
  });

  it('reads lists from text with commas, and booleans from a bare flag', () => {
    const { config } = read({ flags: ['--auth.keys=a,b', '--registry.include-debug-agents'] });
    expect(config?.auth.keys).toEqual(['a', 'b']);
    expect(config?.registry.includeDebugAgents).toBe(true);
  });

  it('reads durations and sizes as people write them', () => {
    const yaml = 'session: {default_wait_timeout: 5s}\nlimits: {body-size: 1MiB}';
    const { config } = read({ yaml });
    expect([config?.session.defaultWaitTimeout, config?.limits.bodySize]).toEqual([5000, 1048576]);
  });

  it('takes maps key by key, their names as written', () => {
    const yaml = 'debug: {additional-executable-environment: {A_b: 1}}';
    const { config } = read({ yaml, flags: ['--debug.additional-executable-environment.X_y=2'] });
    expect(config?.debug.additionalExecutableEnvironment).toEqual({ A_b: '1', X_y: '2' });
  });

  it('takes lists of sections as JSON from a flag', () => {
    const providers = JSON.stringify([{ name: 'main', format: 'openai', 'api-key': 'k' }]);
    const { config, faults } = read({ flags: [`--llm-proxy.providers=${providers}`] });
    expect(faults).toEqual([]);
    expect(config?.llmProxy.providers).toMatchObject([{ name: 'main', format: 'OpenAI', timeout: 600_000 }]);
  });

  it('reads TOML by its extension', () => {
    expect(read({ toml: '[network]\nbind_port = 7' }).config?.network.bindPort).toBe(7);
  });

  it('is found from the current folder upwards and is the base of its relative paths', () => {
    writeFileSync(join(folder, 'coral.config.yaml'), 'stateDir: state');
    const below = join(folder, 'a', 'b');
    mkdirSync(below, { recursive: true });
    const { config } = readConfig({ cwd: below, environment: {} });
    expect(config).toMatchObject({ file: join(folder, 'coral.config.yaml'), folder });
    expect(config?.stateDir).toBe(join(folder, 'state'));
    const flagged = readConfig({ cwd: below, environment: {}, stateDir: 'mine' });
    expect(flagged.config?.stateDir).toBe(join(below, 'mine'));
  });

  it('is the one that CONFIG_FILE_PATH names, unless --config names another', () => {
    writeFileSync(join(folder, 'a.yaml'), 'network: {bindPort: 1}');
    writeFileSync(join(folder, 'b.yaml'), 'network: {bindPort: 2}');
    const environment = { CONFIG_FILE_PATH: join(folder, 'a.yaml') };
    expect(read({ environment }).config?.network.bindPort).toBe(1);
    const { config } = readConfig({ cwd: folder, environment, file: 'b.yaml' });
    expect(config?.network.bindPort).toBe(2);
  });
});

describe('a configuration with faults', () => {
  it('is refused with all of them at once: file, line and key', () => {
    const yaml = [
      'network:',
      '  bind-port: eighty',
      '  allow_any_host: perhaps',
      'session:',
      '  defaultWaitTimeout: soon',
      'llmProxy:',
      '  providers:',
      '    - name: a',
      '      format: gemini',
    ].join('\n');
    const { config, faults } = read({ yaml });
    expect(config).toBeUndefined();
    expect(faults).toEqual([
      'error: coral.config.yaml:2: `network.bindPort` must be a port from 0 to 65535, not "eighty".',
      'error: coral.config.yaml:3: `network.allowAnyHost` must be true or false, not "perhaps".',
      'error: coral.config.yaml:5: `session.defaultWaitTimeout` must be a duration such as 500ms, 30s, 5m or 2h, or a whole number of milliseconds, not "soon".',
      'error: coral.config.yaml:9: `llmProxy.providers[0].format` must be one of OpenAI, Anthropic, not "gemini".',
    ]);
  });

  it('names the flag or the variable that is wrong', () => {
    const { faults } = read({
      flags: ['--network.bind-port=99999'],
      environment: { CORAL_CONFIG__JOURNAL__SYNC: 'never' },
    });
    expect(faults).toEqual([
      'error: --network.bind-port: `network.bindPort` must be a port from 0 to 65535, not "99999".',
      'error: CORAL_CONFIG__JOURNAL__SYNC: `journal.sync` must be one of normal, full, not "never".',
    ]);
  });

  it('never shows a secret', () => {
    const { faults } = read({ yaml: 'auth: {keys: {s3cret: 1}}\nnetwork: {webhook-secret: [s3cret]}' });
    expect(faults).toEqual([
      'error: coral.config.yaml:1: `auth.keys` must be a list of texts.',
      'error: coral.config.yaml:2: `network.webhookSecret` must be a text that is not empty.',
    ]);
  });

  it.each([
    ['not: [valid', /^error: coral\.config\.yaml:1: Is no valid YAML/],
    ['- a list', /A configuration must be a section with keys/],
    ['network: 5', /^error: coral\.config\.yaml:1: `network` must be a section with keys/],
    ['network: {bindPort: 1, bind-port: 2}', /`bindPort` and `bind-port` are the same key: keep one of them/],
    ['llmProxy: {providers: [{format: OpenAI}]}', /`llmProxy\.providers\[0\]\.name` must be a text/],
  ])('%s', (yaml, message) => {
    const { config, faults } = read({ yaml });
    expect(config).toBeUndefined();
    expect(faults.join('\n')).toMatch(message);
  });

  it('that cannot be read at all says so', () => {
    const { faults } = readConfig({ cwd: folder, environment: {}, file: 'missing.yaml' });
    expect(faults.map((fault) => describeFault(fault, folder))).toEqual([
      'error: missing.yaml: The configuration file cannot be read (ENOENT).',
    ]);
  });
});

describe('a key that means nothing', () => {
  it('is a warning that names the nearest known one, and nothing more', () => {
    const { config, faults } = read({
      yaml: 'network:\n  bindPrt: 1\n',
      flags: ['--sesion.default-wait-timeout=1s'],
      environment: { CORAL_CONFIG__LOGGING__LEVEL_OF_ALL_THINGS: 'x' },
    });
    expect(config?.network.bindPort).toBe(5555);
    expect(faults[0]).toBe(
      'warning: coral.config.yaml:2: `network.bindPrt` means nothing and was ignored. Did you mean `bindPort`?',
    );
    expect(faults[1]).toMatch(
      /^warning: CORAL_CONFIG__LOGGING__LEVEL_OF_ALL_THINGS: .* Known in `logging`: logBufferSize, /,
    );
    expect(faults[2]).toMatch(/^warning: --sesion\.default-wait-timeout: .* Did you mean `session`\?$/);
  });

  it('below a value is named, too', () => {
    const { faults } = read({ flags: ['--network.bind-port.x=1'] });
    expect(faults).toEqual([
      'warning: --network.bind-port.x: `network.bindPort` is a value and has no key `x`: it was ignored.',
    ]);
  });
});
