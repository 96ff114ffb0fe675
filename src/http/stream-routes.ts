/** A live session as it happens: its events and its agents' output. Source: docs/wire.md, "Server-Sent Events". */
import { z } from 'zod';
import { lineEvent } from '../domain/wire-event.ts';
import type { App, Door } from './door.ts';
import { sessionEvents, sessionLines } from './followers.ts';
import { After, errors, eventStream, Flag, LastEventId, SessionParams } from './schemas.ts';
import { resumeFrom, streamEvents, type SseFrame } from './sse.ts';

const tags = ['streams'];

/** How many buffered lines come first unless the reader says. */
export const DEFAULT_LINES = 1_024;
export const MOST_LINES = 32_768;

/** Adds the routes. */
export function streamRoutes(app: App, door: Door): void {
  const { coral } = door;
  app.route({
    method: 'GET',
    url: '/api/v1/local/session/:namespace/:sessionId/events',
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'Follow the events of a session',
      description:
        'Server-Sent Events; `id` is the seq, `Last-Event-ID` resumes. Ends when the session is gone.',
      params: SessionParams,
      querystring: z.object({
        after: After.optional().describe('Replay from behind this seq; 0: everything'),
        all: Flag.default(false).describe('With event types that are not sent unasked'),
      }),
      headers: LastEventId,
      response: { 200: eventStream('SessionEvent'), ...errors(400, 404, 503) },
    },
    handler: async (request, reply) => {
      const key = request.params;
      const after = resumeFrom(request, request.query.after);
      const source = (signal: AbortSignal): AsyncIterable<SseFrame> =>
        framed(sessionEvents(coral, key, { after, all: request.query.all }, signal), (event) => ({
          id: event.seq,
          data: event,
        }));
      await streamEvents(reply, door, source);
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/session/:namespace/:sessionId/logs',
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'Follow what the agents of a session print',
      description:
        'Server-Sent Events; `id` is the number of the line, `Last-Event-ID` resumes. Ends when the session is gone.',
      params: SessionParams,
      querystring: z.object({
        after: After.optional().describe('Every kept line behind this number'),
        limit: z.coerce.number().int().min(0).max(MOST_LINES).default(DEFAULT_LINES),
        agentFilter: z.string().optional().describe('Only lines of this agent'),
        allowSensitive: Flag.default(false),
      }),
      headers: LastEventId,
      response: { 200: eventStream('LogEvent'), ...errors(400, 404, 503) },
    },
    handler: async (request, reply) => {
      const key = request.params;
      const { limit, agentFilter: agent, allowSensitive } = request.query;
      const after = resumeFrom(request, request.query.after);
      const source = (signal: AbortSignal): AsyncIterable<SseFrame> =>
        framed(sessionLines(coral, key, { after, limit, agent, allowSensitive }, signal), (line) => ({
          id: line.number,
          data: lineEvent(key, line),
        }));
      await streamEvents(reply, door, source);
    },
  });
}

/** Everything of `source`, each as a frame. */
export async function* framed<T>(
  source: AsyncIterable<T>,
  frame: (value: T) => SseFrame,
): AsyncGenerator<SseFrame, void> {
  for await (const value of source) yield frame(value);
}
