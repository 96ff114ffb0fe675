/** `coral serve`: the server, until it is told to stop. */
import type { Command } from 'commander';
import type { App } from '../app.ts';
import { createHost } from '../host.ts';
import { createLog } from '../log.ts';
import { EXIT } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import {
  configOf,
  withConfig,
  withExamples,
  withJson,
  type ConfigOptions,
  type JsonOption,
} from './settings.ts';
import { onSignals } from './signals.ts';
import { count } from './text.ts';

interface ServeOptions extends ConfigOptions, JsonOption {
  readonly keepAgents?: boolean;
}

/** Adds the command. */
export function serveCommand(program: Command, invocation: Invocation, done: (code: number) => void): void {
  const command = program
    .command('serve')
    .description(
      'Start the server. Its state lies in .coral/ beside the configuration; one server per state folder.',
    )
    .option('--keep-agents', 'when it is stopped, leave the agents running for the next start')
    .action(async (options: ServeOptions) => done(await serve(invocation, options)));
  withJson(withConfig(command), 'print where it listens as JSON');
  withExamples(command, [
    ['coral serve', 'on 127.0.0.1:5555, or as the configuration says'],
    ['coral serve --network.bind-port=0', 'on any free port'],
    ['coral serve --keep-agents', 'can be stopped and started anew without its agents noticing'],
    ['coral serve --config prod.yaml --auth.keys=KEY', 'another configuration, a key of your own'],
  ]);
}

async function serve(invocation: Invocation, options: ServeOptions): Promise<number> {
  const { terminal } = invocation;
  const config = configOf(invocation, options);
  const host = createHost();
  const log = createLog({
    level: config.logging.consoleLogLevel,
    format: config.logging.consoleFormat,
    write: terminal.note,
    now: () => host.now(),
  });

  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  let app: App | undefined;
  // From the first moment on: a signal during the start must not leave half a server behind.
  const release = onSignals({
    first: () => {
      terminal.note('Stopping in good order; once more stops at once.');
      stop();
    },
    second: async () => {
      await app?.abort();
    },
  });
  try {
    // Only now, so that the help does not wait for it.
    const { startApp } = await import('../app.ts');
    app = await startApp(config, { environment: terminal.environment, log, host });
    try {
      announce(invocation, app, options.json === true);
      await stopped;
    } finally {
      await app.close({ keepAgents: options.keepAgents === true });
    }
    return EXIT.ok;
  } finally {
    release();
  }
}

function announce({ terminal }: Invocation, app: App, json: boolean): void {
  const { line, colors } = terminal;
  if (json) {
    line(
      JSON.stringify({
        url: app.url,
        pid: process.pid,
        stateDir: app.stateDir,
        instance: app.coral.instance,
      }),
    );
    return;
  }
  const agents = count(app.coral.registry.agents().length, 'agent');
  const teams = count(app.coral.registry.teams().length, 'team');
  line(`${colors.bold('Coral')} listens on ${colors.cyan(app.url)} and offers ${agents} and ${teams}.`);
  if (app.freshKey) {
    line(`The API key is ${colors.bold(app.key)} and is shown only now; it lies in ${app.stateDir}/key.`);
  } else if (app.keyFile !== undefined) line(`The API key lies in ${app.keyFile}.`);
}
