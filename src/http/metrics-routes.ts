/** Numbers for Prometheus; without a key only where nobody but this machine can ask. Source: docs/wire.md, "Metrics". */
import { z } from 'zod';
import type { App } from './door.ts';
import type { Metrics } from './metrics.ts';
import { errors } from './schemas.ts';

/** `open`: needs no key. */
export function metricsRoutes(app: App, metrics: Metrics, open: boolean): void {
  app.route({
    method: 'GET',
    url: '/metrics',
    config: { public: open },
    schema: {
      tags: ['server'],
      summary: 'Numbers for Prometheus',
      description: 'Needs no key where the server is bound to loopback.',
      response: { 200: z.string().describe('text/plain: the format of Prometheus'), ...errors() },
    },
    handler: async (_request, reply) => {
      const { text, type } = await metrics.read();
      return reply.type(type).serializer(String).send(text);
    },
  });
}
