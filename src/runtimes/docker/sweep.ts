/**
 * Removes what this instance left in the engine: containers, networks and images that bear its label, that nobody here knows,
 * and that are not young (somebody may just be making them). Another instance's are never touched.
 */
import type { Labels } from '../../domain/launch.ts';
import type { Living } from '../../ports/runtime.ts';
import type { Engine } from './engine.ts';
import { removeContainer, removeNetwork } from './remove.ts';
import { LABEL, labelsIn } from './spec.ts';

/** What a sweep looks at. */
export interface Sweep {
  readonly engine: Engine;
  readonly instance: string;
  /** Ids of containers and networks in use. */
  readonly isKnown: (id: string) => boolean;
  /** What lives although nobody here knows it yet. */
  readonly living: Living;
  /** Wall-clock ms. */
  readonly now: number;
  /** Younger ones are left alone, ms. */
  readonly graceMs: number;
}

/** Ids of what was removed. */
export interface Swept {
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  /** Only the self-check makes some. */
  readonly images: readonly string[];
}

/** A container of an instance, in whatever state. */
export interface Listed {
  readonly id: string;
  /** In the engine's words. */
  readonly state: string;
  /** Wall-clock ms. */
  readonly created: number;
  /** Nothing on what is no agent's. */
  readonly labels: Labels | undefined;
}

/** All containers that bear an instance's label. */
export async function containersOf(engine: Engine, instance: string): Promise<readonly Listed[]> {
  const filters = filtersFor(instance);
  const listed = await engine.json<
    { Id: string; State: string; Created: number; Labels?: Record<string, string> | null }[]
  >({ path: '/containers/json', query: { all: 1, filters } });
  return listed.map(({ Id, State, Created, Labels: given }) => ({
    id: Id,
    state: State,
    created: Created * 1_000,
    labels: labelsIn(given),
  }));
}

function filtersFor(instance: string): string {
  return JSON.stringify({ label: [`${LABEL.instance}=${instance}`] });
}

/** Rejects when the engine cannot be asked; what it will not remove is left for the next time. */
export async function sweep({ engine, instance, isKnown, living, now, graceMs }: Sweep): Promise<Swept> {
  const filters = filtersFor(instance);
  const isOld = (created: number): boolean => !(now - created < graceMs);
  const containers: string[] = [];
  const networks: string[] = [];

  for (const { id: Id, created, labels } of await containersOf(engine, instance)) {
    if (isKnown(Id) || (labels !== undefined && living.attempt(labels)) || !isOld(created)) continue;
    const removed = await removeContainer(engine, Id).then(
      () => true,
      () => false,
    );
    if (removed) containers.push(Id);
  }
  const listed = await engine.json<{ Id: string; Created?: string; Labels?: Record<string, string> }[]>({
    path: '/networks',
    query: { filters },
  });
  for (const { Id, Created, Labels } of listed) {
    if (isKnown(Id) || living.session(Labels?.[LABEL.session] ?? '') || !isOld(Date.parse(Created ?? '')))
      continue;
    const removed = await removeNetwork(engine, Id).then(
      () => true,
      () => false,
    );
    if (removed) networks.push(Id);
  }
  const images: string[] = [];
  for (const { Id, Created } of await engine.json<{ Id: string; Created: number }[]>({
    path: '/images/json',
    query: { filters },
  })) {
    if (!isOld(Created * 1_000)) continue;
    const removed = await engine.text({ method: 'DELETE', path: `/images/${Id}`, query: { force: 1 } }).then(
      () => true,
      () => false,
    );
    if (removed) images.push(Id);
  }
  return { containers, networks, images };
}
