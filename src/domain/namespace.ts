/** Namespaces: their facts live in one stream of their own (`namespaces`). */
import type { NamespaceEvent } from './event.ts';

/** A namespace as it stands. */
export interface NamespaceState {
  readonly name: string;
  readonly deleteOnLastSessionExit: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAt: number;
}

/** Folds one fact into the map of namespaces that exist. */
export function evolveNamespaces(
  namespaces: Map<string, NamespaceState>,
  record: { readonly time: number; readonly event: unknown },
): void {
  const event = record.event as NamespaceEvent;
  switch (event.type) {
    case 'namespace_created':
      namespaces.set(event.name, {
        name: event.name,
        deleteOnLastSessionExit: event.deleteOnLastSessionExit,
        annotations: event.annotations,
        createdAt: record.time,
      });
      return;
    case 'namespace_closed':
      namespaces.delete(event.name);
      return;
  }
}
