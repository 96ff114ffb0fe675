/** The runtimes that a configuration describes: what a server can launch agents with. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { RuntimeKind } from '../domain/definition.ts';
import { PACKAGE_ROOT } from '../package-root.ts';
import type { Runtime } from '../ports/runtime.ts';
import { isAlive } from '../process-identity.ts';
import { hasKept } from '../runtimes/executable/keeper/kept-files.ts';
import { keptExecutableRuntime } from '../runtimes/executable/keeper/runtime.ts';
import { executableRuntime } from '../runtimes/executable/runtime.ts';
import { functionRuntime } from '../runtimes/function/runtime.ts';
import { withManual } from '../runtimes/manual.ts';
import { scriptedRuntime } from '../runtimes/scripted/runtime.ts';
import { openConfiguredDocker, type DockerParts } from './docker.ts';

/** What of the server they need. */
export interface RuntimeParts extends DockerParts {
  /** Where the keeper of executables lies. Absolute. */
  readonly keeperFolder: string;
  /** The server is a command's own. */
  readonly embedded: boolean;
  /** The host under which agents of this machine reach the server. */
  readonly address: string;
}

/** Nothing is asked of the machine yet. */
export function openRuntimes(config: Config, parts: RuntimeParts): ReadonlyMap<RuntimeKind, Runtime> {
  const { instance, host, folder, address } = parts;
  const now = (): number => host.now();
  const common = { instance, now, temporaryFolder: folder, address };
  const runtimes = [
    executables(config, { ...parts, ...common }),
    openConfiguredDocker(config, parts),
    functionRuntime(common),
    scriptedRuntime({ host }),
  ];
  return new Map(
    runtimes.map((runtime) => {
      const optionFolder = join(folder, `manual-${runtime.kind}`);
      return [runtime.kind, withManual(runtime, { now, optionFolder })];
    }),
  );
}

/** Ends all that runs, at once. Never rejects. */
export async function killAll(runtimes: Iterable<Runtime>): Promise<void> {
  await Promise.allSettled(
    Array.from(runtimes, async (runtime) => {
      const found = await runtime.list();
      await Promise.allSettled(found.map(({ handle }) => runtime.stop(handle, 0)));
    }),
  );
}

type ExecutableParts = RuntimeParts & { readonly now: () => number; readonly temporaryFolder: string };

function executables(config: Config, parts: ExecutableParts): Runtime {
  const { instance, now, temporaryFolder, address, environment, keeperFolder } = parts;
  const options = {
    instance,
    now,
    temporaryFolder,
    address,
    environment,
    debugEnvironment: config.debug.additionalExecutableEnvironment,
    policy: config.executable.policy,
  };
  if (!usesKeeper(config, parts)) return executableRuntime(options);
  const { orphanTimeout } = config.keeper;
  const keeper = {
    folder: keeperFolder,
    entry: join(PACKAGE_ROOT, 'dist', 'keeper.js'),
    isAlive,
    ...(orphanTimeout !== undefined && { orphanTimeout }),
  };
  return keptExecutableRuntime({ ...options, keeper });
}

/** A command's own server ends with its agents and is quicker without a keeper, unless one has left something for it. */
function usesKeeper(config: Config, { embedded, keeperFolder }: RuntimeParts): boolean {
  if (config.runtimes.executable === 'direct') return false;
  return !embedded || hasKept(keeperFolder);
}
