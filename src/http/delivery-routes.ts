/** Webhook deliveries that are owed or were given up. Source: docs/wire.md, "Deliveries". */
import { z } from 'zod';
import { isoTime } from '../domain/view.ts';
import type { App, Door } from './door.ts';
import { Empty, errors } from './schemas.ts';

const tags = ['deliveries'];

/** One delivery on the wire. */
export const DeliveryView = z.object({
  id: z.string().describe('As in the header X-Coral-Delivery'),
  namespace: z.string(),
  sessionId: z.string(),
  hook: z.enum(['session_end', 'events']),
  url: z.string(),
  state: z.enum(['pending', 'dead']),
  tries: z.number().int(),
  reason: z.string().optional().describe('The last failure'),
  time: z.iso.datetime().optional().describe('The next try of a pending one, the giving up of a dead one'),
});

export function deliveryRoutes(app: App, { coral }: Door): void {
  app.route({
    method: 'GET',
    url: '/api/v1/deliveries',
    schema: {
      tags,
      summary: 'List webhook deliveries that are owed or were given up',
      querystring: z.object({
        state: z.enum(['pending', 'dead']).optional(),
        namespace: z.string().optional(),
        sessionId: z.string().optional(),
      }),
      response: { 200: z.array(DeliveryView), ...errors(400) },
    },
    handler: async ({ query: { state, namespace, sessionId } }) =>
      coral
        .deliveries()
        .filter(
          (delivery) =>
            (state === undefined || delivery.state === state) &&
            (namespace === undefined || delivery.namespace === namespace) &&
            (sessionId === undefined || delivery.sessionId === sessionId),
        )
        .map(({ time, ...delivery }) => ({
          ...delivery,
          ...(time !== undefined && { time: isoTime(time) }),
        })),
  });

  app.route({
    method: 'POST',
    url: '/api/v1/deliveries/:id/replay',
    schema: {
      tags,
      summary: 'Send a delivery again that was given up',
      params: z.object({ id: z.string().describe('Id of the delivery') }),
      response: { 200: Empty, ...errors(404, 503, 507) },
    },
    handler: async ({ params }, reply) => {
      await coral.replayDelivery(params.id);
      return reply.send();
    },
  });
}
