/** Agent plans for tests: complete, with everything that does not matter at its default. */
import { DEFAULT_TIMEOUTS, NO_RESTART } from '../../src/domain/definition.ts';
import type { AgentPlan } from '../../src/domain/graph.ts';

export function agentPlan(name: string, given: Partial<AgentPlan> = {}): AgentPlan {
  return {
    name,
    id: { name, version: '1.0.0', registrySourceId: { type: 'local' } },
    runtime: {
      kind: 'scripted',
      exitCode: 0,
      ignoreStop: false,
      output: [],
      flood: 0,
      startDelay: 0,
      transport: 'streamable_http',
    },
    folder: '/',
    options: {},
    blocking: false,
    tools: [],
    plugins: [],
    annotations: {},
    links: [],
    restart: NO_RESTART,
    timeouts: { ...DEFAULT_TIMEOUTS, stop: 0 },
    ...given,
  };
}
