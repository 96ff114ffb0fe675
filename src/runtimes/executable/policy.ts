/**
 * What the operator lets executables use: who asks for more is refused when a session is opened, and who does not ask
 * gets the most there may be. Source: docs/wire.md, "Agent definitions".
 */
import type { ExecutableResources } from '../../domain/definition.ts';
import type { AgentPlan } from '../../domain/graph.ts';
import type { LaunchSpec } from '../../domain/launch.ts';

/** Absent figures: no limit. */
export interface ExecutablePolicy {
  /** Bytes. */
  readonly maxMemory?: number | undefined;
  readonly maxCpus?: number | undefined;
  readonly maxPids?: number | undefined;
}

const FIGURES = [
  { asked: 'memory', most: 'maxMemory', what: 'bytes of memory' },
  { asked: 'cpus', most: 'maxCpus', what: 'CPUs' },
  { asked: 'pids', most: 'maxPids', what: 'processes' },
] as const;

/** The launch with what it may use: what was asked for, else the most there may be. */
export function withinPolicy(spec: LaunchSpec, policy: ExecutablePolicy = {}): LaunchSpec {
  const { how } = spec;
  if (how.kind !== 'executable') return spec;
  const resources: ExecutableResources = Object.fromEntries(
    FIGURES.flatMap(({ asked, most }) => {
      const value = how.resources?.[asked] ?? policy[most];
      return value === undefined ? [] : [[asked, value]];
    }),
  );
  return { ...spec, how: { ...how, resources } };
}

/** Every way in which a plan asks for more than the operator allows, each a sentence with both figures. */
export function refusalsOf({ runtime: how }: AgentPlan, policy: ExecutablePolicy = {}): readonly string[] {
  if (how.kind !== 'executable') return [];
  return FIGURES.flatMap(({ asked, most, what }) => {
    const value = how.resources?.[asked];
    const limit = policy[most];
    return value === undefined || limit === undefined || value <= limit
      ? []
      : [`It asks for ${value} ${what}; this server allows ${limit} (executable.policy.${most}).`];
  });
}
