import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DeliveryView } from '../../src/http/delivery-routes.ts';
import { OutboundError } from '../../src/ports/outbound.ts';
import { openDoor, request, type Door } from './door.ts';

let door: Door;
afterEach(() => door.close());

const List = z.array(DeliveryView);
const HOUR = 3_600_000;

async function receiver(): Promise<{ answer: number | undefined; got: number }> {
  const state = { answer: undefined as number | undefined, got: 0 };
  door = await openDoor({
    scripts: { worker: { runFor: 10 } },
    webhooks: {
      sender: {
        async post() {
          state.got += 1;
          if (state.answer === undefined)
            throw new OutboundError('unreachable', 'The receiver cannot be reached.');
          return { status: state.answer, body: '' };
        },
        async close() {},
      },
      sign: () => '',
      signDelivery: () => '',
      giveUpAfterMs: HOUR,
    },
  });
  const webhooks = { sessionEnd: { url: 'http://receiver/end' } };
  const runtimeSettings = { webhooks };
  await door.send(
    'POST',
    '/api/v1/local/session',
    request(['a'], { execution: { mode: 'immediate', runtimeSettings } }),
  );
  await door.world.advance(10);
  return state;
}

const list = async (query = ''): Promise<z.output<typeof List>> =>
  (await door.send('GET', `/api/v1/deliveries${query}`)).as(List);

describe('deliveries', () => {
  it('are listed while they are owed, then as dead, and are sent again on request', async () => {
    const state = await receiver();
    const [owed] = await list();
    expect(owed).toMatchObject({ state: 'pending', hook: 'session_end', namespace: 'test', tries: 1 });
    expect(owed?.reason).toContain('cannot be reached');
    expect(await list('?state=dead')).toEqual([]);
    expect(await list(`?sessionId=${owed?.sessionId}&namespace=test`)).toHaveLength(1);
    expect(await list('?namespace=other')).toEqual([]);
    for (let tries = 0; tries < 40; tries += 1) await door.world.advance(HOUR / 10);
    const [dead] = await list('?state=dead');
    expect(dead).toMatchObject({ id: owed?.id, state: 'dead' });
    state.answer = 200;
    expect((await door.send('POST', `/api/v1/deliveries/${dead?.id}/replay`)).status).toBe(200);
    await door.world.settled();
    expect(await list()).toEqual([]);
    (await door.send('POST', `/api/v1/deliveries/${dead?.id}/replay`)).refused(404, 'unknown_delivery');
  });

  it('need a key', async () => {
    await receiver();
    (await door.send('GET', '/api/v1/deliveries', undefined, {})).refused(401, 'unauthorized');
  });
});
