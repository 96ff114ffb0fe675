/** Agent plans for tests: complete, with everything that does not matter at its default. */
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
    restart: { policy: 'never', maxRestarts: 0, delay: 0, maxDelay: 0 },
    timeouts: { connect: 0, stop: 0 },
    ...given,
  };
}
