/** A door that really listens, with sessions of two agents, for tests of what is followed. */
import { SessionIdentifier } from '../../src/domain/wire/session.ts';
import { openDoor, request, type Answer, type Door, type DoorParts } from './door.ts';

export interface Listening {
  readonly door: Door;
  /** Without a slash at its end. */
  readonly base: string;
  /** Opens a session of `a` and `b`, which run when this resolves; its id. */
  readonly open: (namespace?: string, annotations?: Record<string, string>) => Promise<string>;
  readonly end: (sessionId: string, namespace?: string) => Promise<Answer>;
}

export async function listening(parts?: DoorParts): Promise<Listening> {
  const door = await openDoor(parts);
  return {
    door,
    base: await door.listen(),
    open: async (namespace = 'test', annotations = {}) => {
      const namespaceProvider = {
        type: 'create_if_not_exists' as const,
        namespaceRequest: { name: namespace, annotations },
      };
      const body = request(['a', 'b'], { namespaceProvider });
      const answer = await door.send('POST', '/api/v1/local/session', body);
      await door.world.settled();
      return answer.as(SessionIdentifier).sessionId;
    },
    end: (sessionId, namespace = 'test') =>
      door.send('DELETE', `/api/v1/local/session/${namespace}/${sessionId}`),
  };
}
