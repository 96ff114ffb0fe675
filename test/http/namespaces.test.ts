import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as wire from '../../src/domain/wire/session.ts';
import { openDoor, request, type Door } from './door.ts';

let door: Door;
beforeEach(async () => {
  door = await openDoor();
});
afterEach(() => door.close());

const NAMESPACE = '/api/v1/local/namespace';

async function open(namespace: string): Promise<wire.SessionIdentifier> {
  const namespaceProvider = { type: 'use_existing' as const, name: namespace };
  const answer = await door.send('POST', '/api/v1/local/session', request(['a'], { namespaceProvider }));
  return answer.as(wire.SessionIdentifier);
}

describe('a namespace', () => {
  it('is made with its defaults, and listed', async () => {
    (await door.send('POST', NAMESPACE, { name: 'n' })).as(z.undefined());
    (
      await door.send('POST', NAMESPACE, {
        name: 'm',
        deleteOnLastSessionExit: false,
        annotations: { a: 'b' },
      })
    ).as(z.undefined());
    expect((await door.send('GET', NAMESPACE)).as(z.array(wire.NamespaceStateBase))).toEqual([
      { name: 'n', deleteOnLastSessionExit: true, annotations: {} },
      { name: 'm', deleteOnLastSessionExit: false, annotations: { a: 'b' } },
    ]);
  });

  it('is listed with its sessions', async () => {
    await door.send('POST', NAMESPACE, { name: 'n' });
    const { sessionId } = await open('n');
    const all = (await door.send('GET', `${NAMESPACE}/extended`)).as(z.array(wire.NamespaceStateExtended));
    expect(all.map(({ base, sessions }) => [base.name, sessions.map(({ id }) => id)])).toEqual([
      ['n', [sessionId]],
    ]);
    const sessions = (await door.send('GET', `${NAMESPACE}/n`)).as(z.array(wire.SessionStateBase));
    expect(sessions.map(({ id }) => id)).toEqual([sessionId]);
    const extended = (await door.send('GET', `${NAMESPACE}/n/extended`)).as(
      z.array(wire.SessionStateExtended),
    );
    expect(extended.map(({ agents }) => agents.map(({ name }) => name))).toEqual([['a']]);
  });

  it('may be called "extended" and still be closed', async () => {
    await door.send('POST', NAMESPACE, { name: 'extended' });
    (await door.send('DELETE', `${NAMESPACE}/extended`)).as(z.undefined());
    expect((await door.send('GET', NAMESPACE)).as(z.array(z.unknown()))).toEqual([]);
  });

  it('goes with all its sessions', async () => {
    await door.send('POST', NAMESPACE, { name: 'n', deleteOnLastSessionExit: false });
    const { sessionId } = await open('n');
    await door.world.settled();
    (await door.send('DELETE', `${NAMESPACE}/n`)).as(z.undefined());
    (await door.send('GET', `${NAMESPACE}/n`)).refused(404, 'unknown_namespace');
    (await door.send('GET', `/api/v1/local/session/n/${sessionId}`)).refused(404, 'unknown_session');
  });
});

describe('what is refused', () => {
  it('a name that is taken', async () => {
    await door.send('POST', NAMESPACE, { name: 'n' });
    (await door.send('POST', NAMESPACE, { name: 'n' })).refused(400, 'namespace_exists');
  });

  it.each([
    [{}, 'name'],
    [{ name: 7 }, 'name'],
    [{ name: 'n', deleteOnLastSessionExit: 'no' }, 'deleteOnLastSessionExit'],
  ])('the body %j', async (body, path) => {
    const error = (await door.send('POST', NAMESPACE, body)).refused(400, 'invalid_request');
    expect(error.issues?.map((issue) => issue.path)).toEqual([path]);
  });

  it.each([
    ['GET', ''],
    ['GET', '/extended'],
    ['DELETE', ''],
  ])('%s of one that is not there (%s)', async (method, tail) => {
    (await door.send(method, `${NAMESPACE}/nowhere${tail}`)).refused(404, 'unknown_namespace');
  });
});
