/** Which blocking agents begin together. Source: docs/wire.md, "Connecting". */
import type { SessionState } from './state.ts';

/** Every other blocking agent reachable from `name` over links, walking through blocking agents only. */
export function barrierPeers(state: SessionState, name: string): ReadonlySet<string> {
  const peers = new Set<string>();
  if (state.agents.get(name)?.plan.blocking !== true) return peers;
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const link of state.agents.get(next)?.plan.links ?? []) {
      if (link === name || peers.has(link) || state.agents.get(link)?.plan.blocking !== true) continue;
      peers.add(link);
      open.push(link);
    }
  }
  return peers;
}
