/** The registry as a configuration describes it, for servers and for commands. */
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { createHost } from '../host.ts';
import { PACKAGE_ROOT } from '../package-root.ts';
import type { Fault, Registry } from '../ports/registry.ts';
import { openRegistry } from '../registry/files.ts';

/** Read for the first time when it resolves. `warn` hears every fault of its files. */
export function openConfiguredRegistry(config: Config, warn: (fault: Fault) => void): Promise<Registry> {
  const { localAgents, includeCoralHomeAgents, localAgentRescanTimer, watchLocalAgents } = config.registry;
  const host = createHost();
  return openRegistry({
    base: config.folder,
    patterns: localAgents,
    ...(includeCoralHomeAgents ? { home: homedir() } : {}),
    teams: config.teams,
    builtin: config.registry.includeDebugAgents ? debugAgents() : [],
    watch: watchLocalAgents,
    ...(localAgentRescanTimer === undefined ? {} : { rescanMs: localAgentRescanTimer }),
    now: () => host.now(),
    warn,
  });
}

/** The definitions of the built-in agents. Source: docs/wire.md, "Built-in agents". */
function debugAgents(): string[] {
  const folder = join(PACKAGE_ROOT, 'registry', 'debug');
  return readdirSync(folder).map((name) => join(folder, name));
}
