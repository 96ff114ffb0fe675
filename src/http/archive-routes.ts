/** The whole story of every session, closed ones included. Source: docs/wire.md, "Archive". */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { evolve, type SessionKey, type SessionState } from '../domain/state.ts';
import { isoTime, sessionBase, sessionExtended } from '../domain/view.ts';
import { WireEvent } from '../domain/wire/event.ts';
import { wireEvent } from '../domain/wire-event.ts';
import { SessionStateBase, SessionStateExtended } from '../domain/wire/session.ts';
import type { Coral } from '../engine/coral.ts';
import type { Quarantined } from '../engine/quarantine.ts';
import type { StreamInfo } from '../ports/journal.ts';
import type { App, Door } from './door.ts';
import { After, errors, Flag, SessionParams } from './schemas.ts';

export const ArchivePage = z.object({
  sessions: z.array(SessionStateBase).describe('Newest first'),
  next: z.string().optional().describe('`cursor` of the next page; absent on the last'),
});

export const ArchivedEvents = z.object({
  events: z.array(WireEvent).describe('Oldest first'),
  next: z.number().int().optional().describe('`after` of the next page; absent on the last'),
});

export const ArchivedLine = z.object({
  number: z.number().int(),
  timestamp: z.iso.datetime(),
  agent: z.string(),
  attempt: z.number().int(),
  io: z.enum(['out', 'error']),
  text: z.string(),
});

export const ArchivedLines = z.object({
  lines: z.array(ArchivedLine).describe('Oldest first'),
  next: z.number().int().optional().describe('`after` of the next page; absent on the last'),
  droppedBytes: z.number().int().describe('Output that was not kept'),
});

const tags = ['archive'];

/** ISO-8601 or ms since 1970, as ms. */
const Moment = z.string().transform((text, context) => {
  const time = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isFinite(time)) return time;
  context.addIssue({ code: 'custom', message: 'Must be an ISO-8601 time or milliseconds since 1970.' });
  return z.NEVER;
});

const Pairs = z.union([z.string(), z.array(z.string())]).transform((given, context) => {
  const pairs = [given].flat().map((text) => [text, text.indexOf(':')] as const);
  if (pairs.some(([, colon]) => colon < 1)) {
    context.addIssue({ code: 'custom', message: 'Must be KEY:VALUE.' });
    return z.NEVER;
  }
  return Object.fromEntries(pairs.map(([text, colon]) => [text.slice(0, colon), text.slice(colon + 1)]));
});

/** Records read from the journal at once by an export. */
const PAGE = 500;

export function archiveRoutes(app: App, { coral }: Door): void {
  const stateOf = archivedState(coral);

  app.route({
    method: 'GET',
    url: '/api/v1/archive/session',
    schema: {
      tags,
      summary: 'List all sessions there ever were, newest first',
      querystring: z.object({
        limit: z.coerce.number().int().min(1).max(500).default(50),
        cursor: z.string().optional().describe('`next` of the page before'),
        namespace: z.string().optional(),
        annotation: Pairs.optional().describe('KEY:VALUE, repeatable; all must match'),
        from: Moment.optional().describe('Opened at this time or later'),
        before: Moment.optional().describe('Opened before this time'),
      }),
      response: { 200: ArchivePage, ...errors(400) },
    },
    handler: async (request) => {
      const { limit, cursor, namespace, annotation, from, before } = request.query;
      const page = await coral.archive.list({
        kind: 'session',
        limit,
        ...(cursor !== undefined && { cursor }),
        ...(namespace !== undefined && { namespace }),
        ...(annotation !== undefined && { annotations: annotation }),
        ...(from !== undefined && { openedFrom: from }),
        ...(before !== undefined && { openedBefore: before }),
      });
      const sessions = await Promise.all(page.streams.map((stream) => listed(coral, stream)));
      return { sessions, ...(page.next !== undefined && { next: page.next }) };
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/quarantine',
    schema: {
      tags,
      summary: 'List the sessions that are not served because records of them are damaged',
      response: { 200: z.object({ sessions: z.array(SessionStateBase) }), ...errors() },
    },
    handler: async () => ({ sessions: coral.quarantined().map(quarantinedBase) }),
  });

  app.route({
    method: 'GET',
    url: '/api/v1/archive/session/:namespace/:sessionId',
    schema: {
      tags,
      summary: 'A session with its agents, and all its threads with all their messages',
      params: SessionParams,
      querystring: z.object({ messages: z.coerce.number().int().min(0).optional() }),
      response: { 200: SessionStateExtended, ...errors(400, 404, 503) },
    },
    handler: async (request) => {
      const { messages } = request.query;
      const state = await stateOf(request.params);
      return sessionExtended(state, { whole: true, ...(messages !== undefined && { messages }) });
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/archive/session/:namespace/:sessionId/events',
    schema: {
      tags,
      summary: 'The events of a session, page by page',
      params: SessionParams,
      querystring: z.object({
        after: After.default(0).describe('Events behind this seq'),
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
      }),
      response: { 200: ArchivedEvents, ...errors(400, 404, 503) },
    },
    handler: async (request) => {
      const { after, limit } = request.query;
      const records = await coral.archive.records(request.params, after, limit + 1);
      const page = records.slice(0, limit);
      const state = await stateOf(request.params);
      const last = page[page.length - 1];
      return {
        events: page.flatMap((record) => wireEvent(record, state, true) ?? []),
        ...(records.length > limit && last !== undefined && { next: last.seq }),
      };
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/archive/session/:namespace/:sessionId/logs',
    schema: {
      tags,
      summary: 'What the agents of a session printed, page by page',
      params: SessionParams,
      querystring: z.object({
        after: After.default(0).describe('Lines behind this number'),
        limit: z.coerce.number().int().min(1).max(5_000).default(1_000),
        agentFilter: z.string().optional().describe('Only lines of this agent'),
        allowSensitive: Flag.default(false),
      }),
      response: { 200: ArchivedLines, ...errors(400, 404, 503) },
    },
    handler: async (request) => {
      const { after, limit, agentFilter, allowSensitive } = request.query;
      const { sessionId } = request.params;
      await coral.archive.records(request.params, 0, 1);
      const lines = await coral.output.read(sessionId, after, limit + 1, agentFilter);
      const page = lines.slice(0, limit);
      const last = page[page.length - 1];
      return {
        lines: page
          .filter((line) => allowSensitive || line.sensitive !== true)
          .map(({ number, time, agent, attempt, io, text }) => ({
            number,
            timestamp: isoTime(time),
            agent,
            attempt,
            io,
            text,
          })),
        ...(lines.length > limit && last !== undefined && { next: last.number }),
        droppedBytes: await coral.output.droppedBytes(sessionId),
      };
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/archive/session/:namespace/:sessionId/export',
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'The whole story of a session as JSON Lines',
      params: SessionParams,
      querystring: z.object({ format: z.literal('jsonl').default('jsonl') }),
      response: { 200: z.string().describe('application/jsonl: one event a line'), ...errors(400, 404, 503) },
    },
    handler: async (request, reply) => {
      // Before the answer begins, so that an unknown session is a 404.
      await coral.archive.records(request.params, 0, 1);
      return (reply as FastifyReply)
        .type('application/jsonl; charset=utf-8')
        .header('content-disposition', `attachment; filename="${request.params.sessionId}.jsonl"`)
        .send(Readable.from(exported(coral, request.params)));
    },
  });
}

/** One line for every event; a page of lines at a time, read when the reader took the one before. */
async function* exported(coral: Coral, key: SessionKey): AsyncGenerator<string, void> {
  let state: SessionState | undefined;
  let after = 0;
  for (;;) {
    const records = await coral.archive.records(key, after, PAGE);
    let lines = '';
    for (const record of records) {
      state = evolve(state, record);
      after = record.seq;
      const event = wireEvent(record, state, true);
      if (event !== undefined) lines += `${JSON.stringify(event)}\n`;
    }
    if (records.length === 0) return;
    yield lines;
  }
}

/** A session of the list: what the catalogue knows, and what is live about one that lives. */
async function listed(coral: Coral, stream: StreamInfo): Promise<SessionStateBase> {
  const key = { namespace: stream.namespace, sessionId: stream.id };
  if (stream.closedAt === undefined) {
    const quarantined = coral.quarantined().find(({ sessionId }) => sessionId === stream.id);
    return quarantined === undefined
      ? sessionBase(await liveOrArchived(coral, key))
      : quarantinedBase(quarantined);
  }
  return {
    id: stream.id,
    timestamp: isoTime(stream.openedAt),
    namespace: stream.namespace,
    status: { type: 'closed', closedTime: isoTime(stream.closedAt) },
    annotations: { ...stream.annotations },
  };
}

function quarantinedBase({
  sessionId,
  namespace,
  openedAt,
  annotations,
  reason,
}: Quarantined): SessionStateBase {
  return {
    id: sessionId,
    timestamp: isoTime(openedAt),
    namespace,
    status: { type: 'quarantined', message: reason },
    annotations: { ...annotations },
  };
}

function liveOrArchived(coral: Coral, key: SessionKey): SessionState | Promise<SessionState> {
  try {
    return coral.session(key);
  } catch {
    return coral.archive.state(key);
  }
}

/** Folding a long story costs; a closed one never changes, so the last one is remembered for its next page. */
function archivedState(coral: Coral): (key: SessionKey) => Promise<SessionState> {
  let last: SessionState | undefined;
  return async (key) => {
    if (last?.sessionId === key.sessionId && last.namespace === key.namespace) return last;
    const state = await liveOrArchived(coral, key);
    if (state.phase.type === 'closed') last = state;
    return state;
  };
}
