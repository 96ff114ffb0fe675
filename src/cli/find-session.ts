/** Which session a person means: its id, NAMESPACE/ID, the start or the end of its id, or nothing for the newest. */
import type { SessionStateBase } from '../domain/wire/session.ts';
import type { CoralClient, SessionIdentifier } from '../client/index.ts';
import { BadInput, EXIT } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { reach } from './reach.ts';
import { configOf, type ConfigOptions } from './settings.ts';

/** A word is looked for among so many of the newest sessions. */
const LOOK_BACK = 2_000;

/**
 * Does something with the session a person means, on the server these options mean; lets go of the server afterwards.
 * Resolves with the exit code of success; throws as `reach` and `findSession` do.
 */
export async function withSession(
  invocation: Invocation,
  options: ConfigOptions,
  word: string | undefined,
  act: (client: CoralClient, key: SessionIdentifier) => Promise<void>,
): Promise<number> {
  const server = await reach(configOf(invocation, options), invocation.terminal);
  try {
    await act(server.client, await findSession(server.client, word));
    return EXIT.ok;
  } finally {
    await server.close();
  }
}

/** Throws BadInput when there is none or several. */
export async function findSession(client: CoralClient, word: string | undefined): Promise<SessionIdentifier> {
  const slash = word?.lastIndexOf('/') ?? -1;
  const namespace = word !== undefined && slash > 0 ? word.slice(0, slash) : undefined;
  const id = word === undefined ? undefined : word.slice(slash + 1);
  const found: SessionStateBase[] = [];
  let seen = 0;
  const pageSize = id === undefined ? 1 : 500;
  for await (const session of client.archive.list({
    pageSize,
    ...(namespace !== undefined && { namespace }),
  })) {
    if (id === undefined || session.id === id) return keyOf(session);
    if (session.id.startsWith(id) || session.id.endsWith(id)) found.push(session);
    seen += 1;
    if (seen >= LOOK_BACK) break;
  }

  const [first] = found;
  if (word === undefined) throw new BadInput('There is no session yet: coral run TEAM begins one.');
  if (first === undefined) throw new BadInput(`There is no session ${word}: coral ps --all lists them.`);
  if (found.length > 1) {
    const some = found.slice(0, 5).map((session) => `${session.namespace}/${session.id}`);
    throw new BadInput(
      `${word} could be any of ${found.length} sessions: ${some.join(', ')}. Write more of it.`,
    );
  }
  return keyOf(first);
}

function keyOf(session: SessionStateBase): SessionIdentifier {
  return { namespace: session.namespace, sessionId: session.id };
}
