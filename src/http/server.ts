/**
 * The HTTP door: one Fastify instance with every route, its checks in front and one shape of errors behind. It knows
 * the engine only by its interface. Source: docs/wire.md.
 */
import cookie from '@fastify/cookie';
import Fastify from 'fastify';
import type { FastifyServerOptions, RouteOptions } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Coral } from '../engine/coral.ts';
import { LogHub } from '../engine/log-hub.ts';
import type { Log } from '../ports/log.ts';
import { Admission } from './admission.ts';
import { archiveRoutes } from './archive-routes.ts';
import { createAuth, type AuthKeys } from './auth.ts';
import { authRoutes } from './auth-routes.ts';
import { parseJson, parseSessionJson } from './body.ts';
import { backupRoutes } from './backup-routes.ts';
import { checks } from './checks.ts';
import { deliveryRoutes } from './delivery-routes.ts';
import { documentRoutes } from './document-routes.ts';
import type { App, Door } from './door.ts';
import { errorHandler } from './errors.ts';
import { healthRoutes } from './health-routes.ts';
import { hostGuard, isLoopback, type HostGuardConfig } from './host-guard.ts';
import { managerRoutes } from './manager-routes.ts';
import { Metrics } from './metrics.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { namespaceRoutes } from './namespace-routes.ts';
import { puppetRoutes } from './puppet-routes.ts';
import { RateLimit } from './rate-limit.ts';
import { registryRoutes } from './registry-routes.ts';
import { sessionChangeRoutes } from './session-change-routes.ts';
import { sessionRoutes } from './session-routes.ts';
import { DEFAULT_SOCKETS, seats } from './seats.ts';
import { OpenStreams, SSE_DEFAULTS, type SseOptions } from './sse.ts';
import { Sockets } from './sockets.ts';
import { SOCKET_DEFAULTS, type SocketOptions } from './socket-peer.ts';
import { streamRoutes } from './stream-routes.ts';
import { teamRoutes } from './team-routes.ts';
import { wantsWebsocket, withoutUpgrade } from './upgrades.ts';
import { validatorCompiler } from './validation.ts';

/** The part of the configuration that this door needs. */
export interface HttpConfig extends HostGuardConfig {
  readonly bindPort: number;
  /** Bytes; default 8 MiB. */
  readonly bodyLimit?: number;
  /** Of one key; default 0: as many as it likes. */
  readonly requestsPerSecond?: number;
  /** From one address in a minute; default 20; 0: as many as it likes. */
  readonly failedLogins?: number;
  /** Sockets and event streams open at once; default 10,000. */
  readonly sockets?: number;
}

/** What the door is made of. */
export interface HttpServerOptions {
  readonly coral: Coral;
  readonly config: HttpConfig;
  readonly authKeys: AuthKeys;
  /** Seals the cookies of browsers; the same one over a restart keeps them logged in. Default: a fresh one. */
  readonly cookieSecret?: string;
  readonly environment: Door['environment'];
  /** Sees every request first; true when it takes it. It checks hosts and credentials itself. */
  readonly mcp?: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly log: Log;
  readonly version: string;
  readonly sse?: Partial<SseOptions>;
  readonly sockets?: Partial<SocketOptions>;
  /** What the logs socket reads. Default: what agents print. */
  readonly logs?: LogHub;
  readonly backup?: Door['backup'];
  /** What /metrics reads. Default: what can be counted when it is asked for. */
  readonly metrics?: Metrics;
}

export const DEFAULT_BODY_LIMIT = 8 * 1024 * 1024;
export const DEFAULT_FAILED_LOGINS = 20;

type CompilersFactory = NonNullable<
  NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
>;

/** Given at once, so that fastify's own are not even loaded. Its types know only those. */
const COMPILERS = {
  buildValidator: () => validatorCompiler,
  // Schemas of answers document them; tests hold them to it.
  buildSerializer: () => () => (data: unknown) => JSON.stringify(data),
} as unknown as CompilersFactory;

/** The server, not yet listening (`listen.ts`). Closing it ends open streams first. */
export function createHttpServer(options: HttpServerOptions): App {
  const { coral, config, log, mcp } = options;
  const onError = errorHandler(log);
  // Connections that nothing was asked on yet (browsers open some ahead) do not count as idle for a closing server.
  const unused = new Set<Socket>();
  let closing = false;
  const auth = createAuth(options.authKeys, () => coral.now(), options.cookieSecret);
  const guard = hostGuard(config);
  const now = (): number => coral.now();
  const failed = config.failedLogins ?? DEFAULT_FAILED_LOGINS;
  const admission = new Admission({
    auth,
    requests: new RateLimit({ tokens: config.requestsPerSecond ?? 0, perMs: 1_000 }, now),
    failures: new RateLimit({ tokens: failed, perMs: 60_000 }, now),
    trustProxy: config.trustProxy,
  });
  const streams = new OpenStreams();
  const room = seats(config.sockets ?? DEFAULT_SOCKETS, () => sockets.size + streams.size);
  const sockets: Sockets = new Sockets({
    coral,
    admission,
    guard,
    log,
    logs: options.logs ?? logsOf(coral),
    options: { ...SOCKET_DEFAULTS, ...options.sockets },
    room,
  });
  const app = Fastify({
    // Errors are logged by us, once; addresses may hold secrets and are never logged.
    logger: false,
    bodyLimit: config.bodyLimit ?? DEFAULT_BODY_LIMIT,
    trustProxy: config.trustProxy,
    // Names may have 128 characters, each up to nine once encoded.
    routerOptions: { maxParamLength: 2048, ignoreTrailingSlash: true },
    serverFactory: (handler) => {
      const server = createServer((request, response) => {
        unused.delete(request.socket);
        if (mcp?.(request, response) !== true) handler(request, response);
      });
      // Longer than a wait, so that no client finds its connection closed under its next request.
      server.keepAliveTimeout = 72_000;
      server.on('connection', (socket) => {
        if (closing) return socket.destroy();
        unused.add(socket);
        socket.once('close', () => unused.delete(socket));
      });
      server.on('upgrade', (request, socket: Socket, head) => {
        unused.delete(socket);
        if (wantsWebsocket(request)) sockets.upgrade(request, socket, head);
        else withoutUpgrade(server, request, socket, head);
      });
      return server;
    },
    schemaController: { compilersFactory: COMPILERS },
    clientErrorHandler: refuseUnreadable,
    frameworkErrors: (error, request, reply) => onError(error, request, reply),
  }).withTypeProvider<ZodTypeProvider>() as App;

  app.setErrorHandler(onError);
  readBodies(app);
  void app.register(cookie);

  checks(app, { admission, guard, allowAnyHost: config.allowAnyHost, log });

  const door: Door = {
    coral,
    environment: options.environment,
    version: options.version,
    streams,
    log,
    sse: { ...SSE_DEFAULTS, ...options.sse },
    room,
    ...(options.backup !== undefined && { backup: options.backup }),
  };
  const metrics = options.metrics ?? new Metrics();
  metrics.report(coral, () => ({ sockets: sockets.size, streams: streams.size }));
  app.addHook('preClose', async () => {
    await Promise.all([streams.close(), sockets.close()]);
    closing = true;
    for (const socket of unused) socket.destroy();
  });
  // In a plugin of their own, so that whatever documents routes can be registered before them.
  void app.register(async (routes) => {
    const typed = routes as App;
    const known: RouteOptions[] = [];
    typed.addHook('onRoute', (route) => {
      if (route.method !== 'HEAD') known.push(route);
    });
    healthRoutes(typed, door);
    authRoutes(typed, {
      auth,
      secure: ({ protocol, headers }) => protocol === 'https' || guard.securedBy(headers),
      admission,
    });
    sessionRoutes(typed, door);
    sessionChangeRoutes(typed, door);
    namespaceRoutes(typed, door);
    streamRoutes(typed, door);
    managerRoutes(typed, door);
    puppetRoutes(typed, door);
    deliveryRoutes(typed, door);
    registryRoutes(typed, door);
    teamRoutes(typed, door);
    archiveRoutes(typed, door);
    metricsRoutes(typed, metrics, isLoopback(config.bindAddress));
    backupRoutes(typed, door);
    documentRoutes(typed, door, known);
  });
  return app;
}

/** Joins what agents print to a hub. */
export function joinOutput(hub: LogHub, coral: Coral): () => void {
  return hub.join(coral.output, (sessionId) => coral.namespaceOf(sessionId));
}

function logsOf(coral: Coral): LogHub {
  const hub = new LogHub({ now: () => coral.now() });
  joinOutput(hub, coral);
  return hub;
}

/** Bodies are read by what the route wants, whatever their content type says. */
function readBodies(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (request, text, done) => {
    try {
      done(
        null,
        parseBody(request.routeOptions.config.body ?? 'json', request.headers['content-type'], String(text)),
      );
    } catch (error) {
      done(error as Error);
    }
  });
}

function parseBody(
  kind: 'json' | 'session' | 'form',
  contentType: string | undefined,
  text: string,
): unknown {
  if (kind === 'session') return parseSessionJson(text);
  if (kind === 'form' && contentType?.includes('json') !== true)
    return Object.fromEntries(new URLSearchParams(text));
  return parseJson(text);
}

/** What is not HTTP, or has headers too large, never reaches a route. */
function refuseUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers are larger than this server takes.']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request did not arrive in time.']
        : ['400 Bad Request', 'This is not a request that HTTP/1.1 allows.'];
  const body = JSON.stringify({ message, code: 'invalid_request' });
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroy(error);
}
