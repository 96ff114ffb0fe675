/** All sessions and namespaces as they come and go. Source: docs/wire.md, "Manager events". */
import { z } from 'zod';
import { Refusal } from '../domain/refusal.ts';
import type { App, Door } from './door.ts';
import { managerEvents } from './manager-events.ts';
import { After, errors, eventStream, LastEventId } from './schemas.ts';
import { resumeFrom, streamEvents, type SseFrame } from './sse.ts';
import { framed } from './stream-routes.ts';

/** Adds the route. */
export function managerRoutes(app: App, door: Door): void {
  const { coral } = door;
  app.route({
    method: 'GET',
    url: '/api/v1/local/events',
    exposeHeadRoute: false,
    schema: {
      tags: ['streams'],
      summary: 'Follow sessions and namespaces as they come and go',
      description: 'Server-Sent Events; `id` is the seq, `Last-Event-ID` resumes.',
      querystring: z.object({
        after: After.optional().describe('Replay from behind this seq; 0: everything'),
        namespaceFilter: z.string().optional().describe('Only this namespace'),
        namespaceAnnotationFilters: z
          .string()
          .optional()
          .describe('URL-safe base64 of a JSON map; all pairs must match'),
      }),
      headers: LastEventId,
      response: { 200: eventStream('ManagerEvent'), ...errors(400) },
    },
    handler: async (request, reply) => {
      const { namespaceFilter, namespaceAnnotationFilters } = request.query;
      const query = {
        after: resumeFrom(request, request.query.after),
        namespace: namespaceFilter,
        annotations: annotationFilters(namespaceAnnotationFilters),
      };
      const source = (signal: AbortSignal): AsyncIterable<SseFrame> =>
        framed(managerEvents(coral, query, signal), (event) => ({ id: event.seq, data: event }));
      await streamEvents(reply, door, source);
    },
  });
}

const Filters = z.record(z.string(), z.string());

/** The map in the query, or a `Refusal` that says what it should be. */
export function annotationFilters(encoded: string | undefined): Record<string, string> | undefined {
  if (encoded === undefined || encoded === '') return undefined;
  try {
    return Filters.parse(JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')));
  } catch {
    throw new Refusal(
      'invalid_request',
      'namespaceAnnotationFilters must be URL-safe base64 of a JSON object from strings to strings.',
    );
  }
}
