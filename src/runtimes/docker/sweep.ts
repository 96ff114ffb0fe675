/**
 * Removes what this instance left in the engine: containers and networks that bear its label, that nobody here knows,
 * and that are not young (somebody may just be making them). Another instance's are never touched.
 */
import type { Engine } from './engine.ts';
import { removeNetwork } from './networks.ts';
import { removeContainer } from './remove.ts';
import { LABEL } from './spec.ts';

/** What a sweep looks at. */
export interface Sweep {
  readonly engine: Engine;
  readonly instance: string;
  /** Ids of containers and networks in use. */
  readonly isKnown: (id: string) => boolean;
  /** Wall-clock ms. */
  readonly now: number;
  /** Younger ones are left alone, ms. */
  readonly graceMs: number;
}

/** Ids of what was removed. */
export interface Swept {
  readonly containers: readonly string[];
  readonly networks: readonly string[];
}

/** Rejects when the engine cannot be asked; what it will not remove is left for the next time. */
export async function sweep({ engine, instance, isKnown, now, graceMs }: Sweep): Promise<Swept> {
  const filters = JSON.stringify({ label: [`${LABEL.instance}=${instance}`] });
  const isOld = (created: number): boolean => !(now - created < graceMs);
  const containers: string[] = [];
  const networks: string[] = [];

  const found = await engine.json<{ Id: string; Created: number }[]>({
    path: '/containers/json',
    query: { all: 1, filters },
  });
  for (const { Id, Created } of found) {
    if (isKnown(Id) || !isOld(Created * 1_000)) continue;
    const removed = await removeContainer(engine, Id).then(
      () => true,
      () => false,
    );
    if (removed) containers.push(Id);
  }
  const listed = await engine.json<{ Id: string; Created?: string }[]>({
    path: '/networks',
    query: { filters },
  });
  for (const { Id, Created } of listed) {
    if (isKnown(Id) || !isOld(Date.parse(Created ?? ''))) continue;
    const removed = await removeNetwork(engine, Id).then(
      () => true,
      () => false,
    );
    if (removed) networks.push(Id);
  }
  return { containers, networks };
}
