/**
 * The websocket door: which stream a path means, who may read it, and the readers that are there. Source:
 * docs/wire.md, "Sockets".
 */
import { fastifyCookie } from '@fastify/cookie';
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import type { z } from 'zod';
import { isRefusal, Refusal } from '../domain/refusal.ts';
import type { SessionKey } from '../domain/state.ts';
import type { Coral } from '../engine/coral.ts';
import type { LogHub } from '../engine/log-hub.ts';
import type { Log } from '../ports/log.ts';
import type { Admission } from './admission.ts';
import { COOKIE } from './auth.ts';
import { answerTo, HttpFault } from './errors.ts';
import type { HostGuard } from './host-guard.ts';
import { LogFrames } from './log-frames.ts';
import { managerEvents, type ManagerQuery } from './manager-events.ts';
import { annotationFilters } from './manager-routes.ts';
import { Channel } from './socket-channel.ts';
import { CLOSE, Peer, type SocketOptions } from './socket-peer.ts';
import { readSocketPath, SOCKETS, type SocketKind } from './socket-paths.ts';
import { textFrame } from './socket-frame.ts';
import { pastEvents, pump, type Placed } from './socket-replay.ts';

/** Nobody has anything to say to us here. */
const MOST_SAID = 64 * 1024;

/** What the sockets are made of. */
export interface SocketParts {
  readonly coral: Coral;
  readonly admission: Admission;
  readonly guard: HostGuard;
  readonly log: Log;
  readonly logs: LogHub;
  readonly options: SocketOptions;
  /** Throws when there are as many followers as there may be. */
  readonly room: () => void;
}

/** How a reader is served once its handshake is done: `peer` reads until it is told to leave. */
type Serve = (peer: Peer, gone: AbortSignal) => void;

type Query<Kind extends SocketKind> = z.output<(typeof SOCKETS)[Kind]['query']>;

/** All socket readers of a server. */
export class Sockets {
  private readonly server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MOST_SAID,
  });
  private readonly channels = new Map<string, Channel>();
  private readonly peers = new Set<Peer>();
  private beat: NodeJS.Timeout | undefined;
  private closing = false;
  private idle: (() => void) | undefined;

  constructor(private readonly parts: SocketParts) {}

  /** Readers that are connected now. */
  get size(): number {
    return this.peers.size;
  }

  /** Takes an upgrade to a websocket; answers with an error like any other where there is nothing to read. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const broken = (): void => void socket.destroy();
    socket.on('error', broken);
    this.take(request, socket, head, broken).catch((error: unknown) => {
      const { status, body, headers, unexpected } = answerTo(error, 'upgrade');
      if (unexpected) this.parts.log.error('A socket could not be opened.', { reason: String(error) });
      refuse(socket, status, JSON.stringify(body), headers);
    });
  }

  /** Ends every reader; resolves when all are gone. */
  async close(): Promise<void> {
    this.closing = true;
    if (this.peers.size > 0) {
      const gone = new Promise<void>((resolve) => (this.idle = resolve));
      for (const peer of this.peers) peer.close(CLOSE.goingAway, 'the server closes');
      const lost = setTimeout(() => {
        for (const peer of this.peers) peer.destroy();
      }, 1_000);
      await gone;
      clearTimeout(lost);
    }
  }

  private async take(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    broken: () => void,
  ): Promise<void> {
    const serve = this.stream(request);
    // Only where it must be looked up first: otherwise nothing happens between the look and the handshake.
    const ready = serve instanceof Promise ? await serve : serve;
    if (this.closing)
      throw new HttpFault(503, 'shutting_down', 'The server is shutting down and takes no readers.');
    this.parts.room();
    if (socket.destroyed) return;
    socket.off('error', broken);
    this.server.handleUpgrade(request, socket, head, (ws) => {
      const leave = new AbortController();
      const peer = new Peer(ws, socket, this.parts.options.patience, performance.now());
      ws.on('error', () => peer.destroy());
      ws.on('close', () => {
        leave.abort();
        this.peers.delete(peer);
        if (this.peers.size > 0) return;
        clearInterval(this.beat);
        this.beat = undefined;
        this.idle?.();
      });
      this.peers.add(peer);
      this.beat ??= setInterval(() => this.pulse(), this.parts.options.pingEvery);
      ready(peer, leave.signal);
    });
  }

  private pulse(): void {
    const now = performance.now();
    for (const peer of this.peers) peer.beat(now, this.parts.options.silence);
  }

  /** What this request may read; throws what it is refused with. */
  private stream(request: IncomingMessage): Serve | Promise<Serve> {
    const { guard } = this.parts;
    const away = guard.check({ method: 'GET', headers: request.headers });
    if (away !== undefined) throw new HttpFault(403, away.code, away.message);
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const found = readSocketPath(path);
    if (found === undefined) {
      throw new HttpFault(404, 'not_found', 'There is no socket at this path; see docs/wire.md, "Sockets".');
    }
    this.admit(request, found.key);
    const params = Object.fromEntries(new URLSearchParams(query));
    switch (found.kind) {
      case 'logs':
        return this.lines(asked(SOCKETS.logs.query, params));
      case 'manager':
        return this.manager(asked(SOCKETS.manager.query, params));
      case 'session':
        return this.session(found.session, asked(SOCKETS.session.query, params));
    }
  }

  private admit(request: IncomingMessage, key: string | undefined): void {
    const { admission, guard } = this.parts;
    const { headers } = request;
    const cookie =
      headers.cookie !== undefined && guard.sameOrigin(headers)
        ? fastifyCookie.parse(headers.cookie)[COOKIE]
        : undefined;
    admission.admit(request, { key, authorization: headers.authorization, cookie });
  }

  private session(key: SessionKey, { after, all }: Query<'session'>): Serve | Promise<Serve> {
    const { coral } = this.parts;
    let state;
    try {
      state = coral.session(key);
    } catch (error) {
      if (after === undefined || !isRefusal(error)) throw error;
      // Over meanwhile: whoever comes back hears the rest of it.
      return pastEvents(coral, key, after, all).then((events) => this.pumped(() => events));
    }
    const from = after ?? state.seq;
    return (peer, gone) => {
      const name = `${all ? 'all' : 'some'}/${key.sessionId}`;
      let channel = this.channels.get(name);
      if (channel === undefined) {
        channel = new Channel(
          coral,
          key,
          all,
          () => {
            if (this.channels.get(name) === channel) this.channels.delete(name);
          },
          this.parts.log,
        );
        this.channels.set(name, channel);
      }
      const joined = channel;
      gone.addEventListener('abort', () => joined.leaveBy(peer), { once: true });
      joined.join(peer, from);
    };
  }

  private manager(query: Query<'manager'>): Serve {
    const wanted: ManagerQuery = {
      after: query.after,
      namespace: query.namespaceFilter,
      annotations: annotationFilters(query.namespaceAnnotationFilters),
    };
    return this.pumped(async function* (gone) {
      for await (const event of managerEvents(this.coral, wanted, gone))
        yield { frames: textFrame(JSON.stringify(event)), place: event.seq };
    });
  }

  private lines(query: Query<'logs'>): Serve {
    const {
      namespaceFilter: namespace,
      sessionFilter: session,
      agentFilter: agent,
      allowSensitive,
      limit,
      after,
    } = query;
    const frames = new LogFrames(after !== undefined);
    return this.pumped(async function* (gone) {
      const wanted = { namespace, session, agent, allowSensitive, limit, after };
      for await (const lines of this.logs.follow(wanted, gone))
        yield { frames: frames.of(lines), ...(after !== undefined && { place: lines.at(-1)!.number }) };
    });
  }

  private pumped(source: (this: SocketParts, gone: AbortSignal) => AsyncIterable<Placed>): Serve {
    return (peer, gone) => {
      void pump(peer, source.call(this.parts, gone), {
        reason: () =>
          this.closing ? [CLOSE.goingAway, 'the server closes'] : [CLOSE.done, 'the session is closed'],
        failed: this.failed,
      });
    };
  }

  private readonly failed = (error: unknown): void => {
    this.parts.log.error('A socket failed.', { reason: String(error) });
  };
}

function asked<T extends z.ZodType>(schema: T, params: unknown): z.output<T> {
  const result = schema.safeParse(params);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Refusal(
    'invalid_request',
    `The query does not fit: ${issue?.path.join('.')}: ${issue?.message}.`,
  );
}

function refuse(
  socket: Socket,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  if (!socket.writable) return void socket.destroy();
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
