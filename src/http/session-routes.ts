/** Sessions: open, execute, look at, close. Source: docs/wire.md, "Sessions". */
import { z } from 'zod';
import { sessionBase, sessionExtended } from '../domain/view.ts';
import { SessionRequest, SessionRuntimeSettings } from '../domain/wire/request.ts';
import { SessionIdentifier, SessionStateBase, SessionStateExtended } from '../domain/wire/session.ts';
import type { App, Door } from './door.ts';
import { Empty, errors, IdempotencyKey, SessionParams, WRITES } from './schemas.ts';

const tags = ['sessions'];

export function sessionRoutes(app: App, { coral }: Door): void {
  app.route({
    method: 'POST',
    url: '/api/v1/local/session',
    config: { body: 'session' },
    schema: {
      tags,
      summary: 'Open a session',
      description: 'Answers before the agents run. A deferred session waits to be executed.',
      headers: IdempotencyKey,
      body: SessionRequest,
      response: { 200: SessionIdentifier, ...errors(...WRITES, 404, 409) },
    },
    handler: (request) => coral.open(request.body, request.headers['idempotency-key']),
  });

  app.route({
    method: 'POST',
    url: '/api/v1/local/session/:namespace/:sessionId',
    config: { optionalBody: true },
    schema: {
      tags,
      summary: 'Execute a deferred session',
      params: SessionParams,
      body: SessionRuntimeSettings,
      response: { 200: Empty, ...errors(...WRITES, 404) },
    },
    preValidation: async (request) => {
      // Every setting has a default.
      (request as { body: unknown }).body ??= {};
    },
    handler: async (request, reply) => {
      await coral.execute(request.params, request.body);
      return reply.send();
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/session/:namespace/:sessionId',
    schema: {
      tags,
      summary: 'Look at a session',
      params: SessionParams,
      response: { 200: SessionStateBase, ...errors(404, 503) },
    },
    handler: async (request) => sessionBase(coral.session(request.params)),
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/session/:namespace/:sessionId/extended',
    schema: {
      tags,
      summary: 'Look at a session with its agents and threads',
      params: SessionParams,
      querystring: z.object({
        messages: z.coerce
          .number()
          .int()
          .min(0)
          .optional()
          .describe('At most this many of the latest messages of each thread'),
      }),
      response: { 200: SessionStateExtended, ...errors(400, 404, 503) },
    },
    handler: async (request) => {
      const { messages } = request.query;
      return sessionExtended(coral.session(request.params), messages === undefined ? {} : { messages });
    },
  });

  app.route({
    method: 'DELETE',
    url: '/api/v1/local/session/:namespace/:sessionId',
    schema: {
      tags,
      summary: 'Stop all agents of a session',
      description: 'Answers when they are gone. A hold still applies; a second DELETE ends it.',
      params: SessionParams,
      response: { 200: Empty, ...errors(404, 503, 507) },
    },
    handler: async (request, reply) => {
      await coral.close(request.params);
      return reply.send();
    },
  });
}
