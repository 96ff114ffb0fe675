/**
 * What stands in front of every route: the host guard, credentials, the warning about keys that mean nothing, and the
 * answers for paths and methods that are not there. Source: docs/wire.md, "Authentication" and "Errors".
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { $ZodType } from 'zod/v4/core';
import type { Admission } from './admission.ts';
import { COOKIE } from './auth.ts';
import type { App } from './door.ts';
import { HttpFault } from './errors.ts';
import type { Log } from '../ports/log.ts';
import type { HostGuard } from './host-guard.ts';
import { isSocketPath } from './socket-paths.ts';
import { unknownKeys } from './validation.ts';

/** What the checks ask. */
export interface Checks {
  readonly admission: Admission;
  readonly guard: HostGuard;
  /** Pages of any origin may come: with a key, never with a cookie. */
  readonly allowAnyHost: boolean;
  readonly log: Log;
}

/** At most this many unknown keys are named. */
const NAMED_KEYS = 10;

/** Puts the checks in front of every route. */
export function checks(app: App, { admission, guard, allowAnyHost, log }: Checks): void {
  app.addHook('onRequest', async (request, reply) => {
    const away = guard.check({ method: request.method, headers: request.headers });
    if (away !== undefined) throw new HttpFault(403, away.code, away.message);
    if (allowAnyHost && request.headers.origin !== undefined) {
      void reply.header('access-control-allow-origin', '*');
      if (request.method === 'OPTIONS') return preflight(reply);
    }
    if (isOpen(request)) return;
    // A cookie comes along with whatever page asks; it counts only for pages of this server.
    const cookie = guard.sameOrigin(request.headers) ? request.cookies[COOKIE] : undefined;
    admission.admit(request.raw, { authorization: request.headers.authorization, cookie });
  });

  app.addHook('preValidation', async (request, reply) => {
    const unknown = keysWithoutMeaning(request);
    if (unknown.length === 0) return;
    const named = unknown.slice(0, NAMED_KEYS).join(', ');
    const more = unknown.length > NAMED_KEYS ? ` and ${unknown.length - NAMED_KEYS} more` : '';
    const warning = `Ignored, for it means nothing here: ${named}${more}.`;
    log.warn(warning, { method: request.method, route: request.routeOptions.url ?? '' });
    void reply.header('x-coral-warning', warning.replace(/[^\x20-\x7e]/g, '?'));
  });

  const routes = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = routes.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    routes.set(url, methods);
  });
  app.setNotFoundHandler((request) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = new Set<string>();
    for (const [pattern, methods] of routes) {
      if (fits(pattern, path)) for (const method of methods) allowed.add(method);
    }
    if (isSocketPath(path)) {
      throw new HttpFault(426, 'upgrade_required', 'This is a websocket; open it with a websocket client.', {
        upgrade: 'websocket',
        connection: 'upgrade',
      });
    }
    if (allowed.size === 0) {
      throw new HttpFault(
        404,
        'not_found',
        'There is nothing at this path; the API is described in /api_v1.json.',
      );
    }
    const allow = [...allowed].join(', ');
    throw new HttpFault(405, 'method_not_allowed', `This path takes ${allow}, not ${request.method}.`, {
      allow,
    });
  });
}

/** Everything needs a key but the routes that say otherwise, and paths outside the API that do not exist. */
function isOpen(request: FastifyRequest): boolean {
  if (request.routeOptions.config.public === true) return true;
  return request.is404 && !/^\/+api(?:[/?]|$)/i.test(request.url);
}

function preflight(reply: FastifyReply): FastifyReply {
  return reply
    .headers({
      'access-control-allow-methods': 'GET, POST, PATCH, DELETE',
      'access-control-allow-headers': 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID',
      'access-control-max-age': '600',
    })
    .code(204)
    .send();
}

function keysWithoutMeaning(request: FastifyRequest): string[] {
  const { body, querystring } = request.routeOptions.schema ?? {};
  return [
    ...(body === undefined || request.body == null ? [] : unknownKeys(body as $ZodType, request.body)),
    ...(querystring === undefined ? [] : unknownKeys(querystring as $ZodType, request.query)),
  ];
}

/** True when a path matches a route's pattern, segment by segment. */
function fits(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.replace(/(?<=.)\/$/, '').split('/');
  return (
    wanted.length === given.length &&
    wanted.every((part, index) => (part.startsWith(':') ? given[index] !== '' : part === given[index]))
  );
}
