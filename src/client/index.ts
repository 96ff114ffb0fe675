/**
 * `coral/client`: everything an application does with a Coral server, typed, on nothing but `fetch`.
 *
 *     import { CoralClient } from 'coral/client';
 *     const coral = new CoralClient({ url: 'http://127.0.0.1:5555', key: process.env.CORAL_KEY });
 *     const session = await coral.teams.run('repo-report', { directory: process.cwd() });
 *     for await (const event of coral.events(session)) console.log(event.type);
 *     console.log((await coral.finished(session)).result);
 */
export { CoralClient } from './client.ts';
export type { CoralClientOptions } from './client.ts';
export { CoralError } from './errors.ts';
export type { CoralIssue } from './errors.ts';
export type { Archive, Namespaces, Registry, Sessions, Teams } from './resources.ts';
export type * from './types.ts';
export type { LogEvent, LogTag, ManagerEvent, WireEvent } from '../domain/wire/event.ts';
export type { RegistryAgentSource, RegistryAgentView, TeamView } from '../domain/wire/registry.ts';
export type { SessionRequestInput } from '../domain/wire/request.ts';
export type {
  AgentState,
  ExitFacts,
  Message,
  NamespaceStateBase,
  NamespaceStateExtended,
  SessionIdentifier,
  SessionStateBase,
  SessionStateExtended,
  SessionStatus,
  Thread,
} from '../domain/wire/session.ts';
