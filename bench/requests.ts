/** What the benchmarks ask for. */

/** The request for a session of so many idle scripted agents, all in one group. */
export function sessionOf(agents: number): unknown {
  const names = Array.from({ length: agents }, (_, index) => `agent-${index}`);
  return {
    agentGraphRequest: {
      agents: names.map((name) => ({
        id: { name: 'idler', version: '1.0.0', registrySourceId: { type: 'local' } },
        name,
        provider: { type: 'local', runtime: 'scripted' },
      })),
      groups: [names],
    },
    namespaceProvider: {
      type: 'create_if_not_exists',
      namespaceRequest: { name: 'bench', deleteOnLastSessionExit: false },
    },
  };
}
