/** Drives any agent of a session over HTTP, and reads along as it. Source: docs/wire.md, "Puppet". */
import { z } from 'zod';
import { Message, Thread } from '../domain/wire/session.ts';
import type { App, Door } from './door.ts';
import { Empty, errors, IdempotencyKey, SessionParams, WRITES } from './schemas.ts';

const tags = ['puppet'];
const base = '/api/v1/puppet/:namespace/:sessionId/:agent';
const params = SessionParams.extend({ agent: z.string().describe('Name of the agent in the session') });
const threadId = z.string().describe('Id of the thread');

/** How many messages one answer holds unless the reader says, and at the most. */
export const DEFAULT_MESSAGES = 100;
export const MOST_MESSAGES = 1_000;

export function puppetRoutes(app: App, { coral, streams }: Door): void {
  app.route({
    method: 'POST',
    url: `${base}/thread`,
    schema: {
      tags,
      summary: 'Create a thread as an agent',
      params,
      body: z.object({
        threadName: z.string(),
        participantNames: z.array(z.string()).default([]).describe('The agent itself is added'),
      }),
      response: { 200: z.object({ thread: Thread }), ...errors(...WRITES, 404) },
    },
    handler: async ({ params, body }) => ({
      thread: await coral
        .participant(params, params.agent)
        .createThread(body.threadName, body.participantNames),
    }),
  });

  app.route({
    method: 'DELETE',
    url: `${base}/thread`,
    schema: {
      tags,
      summary: 'Close a thread as an agent',
      params,
      body: z.object({ threadId, summary: z.string() }),
      response: { 200: Empty, ...errors(...WRITES, 404) },
    },
    handler: async ({ params, body }, reply) => {
      await coral.participant(params, params.agent).closeThread(body.threadId, body.summary);
      return reply.send();
    },
  });

  app.route({
    method: 'POST',
    url: `${base}/thread/message`,
    schema: {
      tags,
      summary: 'Send a message as an agent',
      params,
      headers: IdempotencyKey,
      body: z.object({ threadId, content: z.string(), mentions: z.array(z.string()).default([]) }),
      response: {
        200: z.object({ status: z.literal('Message sent successfully'), message: Message }),
        ...errors(...WRITES, 404, 409),
      },
    },
    handler: async ({ params, body, headers }) => ({
      status: 'Message sent successfully' as const,
      message: await coral
        .participant(params, params.agent)
        .sendMessage(body.threadId, body.content, body.mentions, headers['idempotency-key']),
    }),
  });

  const membership = z.object({ threadId, participantName: z.string() });
  app.route({
    method: 'POST',
    url: `${base}/thread/participant`,
    schema: {
      tags,
      summary: 'Add a participant to a thread as an agent',
      params,
      body: membership,
      response: { 200: Empty, ...errors(...WRITES, 404) },
    },
    handler: async ({ params, body }, reply) => {
      await coral.participant(params, params.agent).addParticipant(body.threadId, body.participantName);
      return reply.send();
    },
  });

  app.route({
    method: 'DELETE',
    url: `${base}/thread/participant`,
    schema: {
      tags,
      summary: 'Take a participant out of a thread as an agent',
      params,
      body: membership,
      response: { 200: Empty, ...errors(...WRITES, 404) },
    },
    handler: async ({ params, body }, reply) => {
      await coral.participant(params, params.agent).removeParticipant(body.threadId, body.participantName);
      return reply.send();
    },
  });

  app.route({
    method: 'DELETE',
    url: base,
    schema: {
      tags,
      summary: "Stop an agent's runtime",
      description: 'Answers when it is gone.',
      params,
      response: { 200: Empty, ...errors(400, 404, 503, 507) },
    },
    handler: async ({ params }, reply) => {
      await coral.participant(params, params.agent).stop();
      return reply.send();
    },
  });

  app.route({
    method: 'GET',
    url: `${base}/messages`,
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'Read as an agent',
      description:
        'Visible messages of others, oldest first. Changes nothing: the waits of the agent itself return the same as without.',
      params,
      querystring: z.object({
        after: z.string().optional().describe('Id of a message: only what came after it'),
        wait: z.coerce
          .number()
          .int()
          .min(0)
          .default(0)
          .describe('With nothing there yet: ms to wait for something; 55000 at the most'),
        limit: z.coerce.number().int().min(1).max(MOST_MESSAGES).default(DEFAULT_MESSAGES),
      }),
      response: {
        200: z.object({
          messages: z.array(Message),
          next: z.string().optional().describe('What to give as `after` the next time'),
        }),
        ...errors(400, 404, 503),
      },
    },
    handler: async (request, reply) => {
      const { after, wait, limit } = request.query;
      const participant = coral.participant(request.params, request.params.agent);
      // Whoever went away, and a server that closes, wait for nothing.
      const leave = new AbortController();
      const gone = (): void => leave.abort();
      streams.add(leave);
      reply.raw.on('close', gone);
      try {
        const messages = await participant.read({ after, waitMs: wait, limit, signal: leave.signal });
        const next = messages.at(-1)?.id ?? after;
        return { messages: [...messages], ...(next !== undefined && { next }) };
      } finally {
        streams.delete(leave);
        reply.raw.off('close', gone);
      }
    },
  });
}
