/** Is it alive, and can it work? Without a key. Source: docs/wire.md, "Health". */
import { z } from 'zod';
import { ErrorBody } from '../domain/wire/session.ts';
import type { App, Door } from './door.ts';

export function healthRoutes(app: App, { coral, version }: Door): void {
  app.route({
    method: 'GET',
    url: '/health',
    config: { public: true },
    schema: {
      tags: ['server'],
      summary: 'The process lives',
      security: [],
      response: { 200: z.object({ status: z.literal('ok'), version: z.string() }) },
    },
    handler: async () => ({ status: 'ok' as const, version }),
  });

  app.route({
    method: 'GET',
    url: '/ready',
    config: { public: true },
    schema: {
      tags: ['server'],
      summary: 'The journal can be written and the runtimes are there',
      security: [],
      response: {
        200: z.object({ ready: z.literal(true), problems: z.array(z.string()) }),
        503: ErrorBody.extend({ ready: z.literal(false), problems: z.array(z.string()) }),
      },
    },
    handler: async (_request, reply) => {
      const { ready, problems } = await coral.ready();
      if (ready) return { ready, problems: [...problems] };
      const message = problems.length === 0 ? 'The server is not ready.' : problems.join(' ');
      return reply.code(503).send({ message, code: 'not_ready', ready, problems: [...problems] });
    },
  });
}
