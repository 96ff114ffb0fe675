/** Logging in with a browser. Source: docs/wire.md, "Authentication". */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Admission } from './admission.ts';
import { COOKIE, COOKIE_MAX_AGE, isOwnPath, type Auth } from './auth.ts';
import type { App } from './door.ts';
import { HttpFault } from './errors.ts';
import { errors } from './schemas.ts';

/** What logging in needs. */
export interface LogIn {
  readonly auth: Auth;
  /** True when the browser reached us over https, as far as can be told. */
  readonly secure: (request: FastifyRequest) => boolean;
  readonly admission: Admission;
}

/** Registers it. */
export function authRoutes(app: App, { auth, secure, admission }: LogIn): void {
  app.route({
    method: 'POST',
    url: '/api/v1/auth/token',
    config: { public: true, body: 'form' },
    schema: {
      tags: ['auth'],
      summary: 'Trade a key for a cookie',
      description: 'An urlencoded form; redirects to `to`, which must be a path on this server.',
      security: [],
      querystring: z.object({
        to: z
          .string()
          .refine(isOwnPath, 'Must be a path on this server that begins with one slash.')
          .default('/ui/console/'),
      }),
      body: z.object({ token: z.string().describe('One of auth.keys') }),
      response: { 302: z.void().describe('Logged in; go on at `to`'), ...errors(400, 401, 429) },
    },
    handler: async (request, reply) => {
      const { token } = request.body;
      // Also with a good key: who guesses must not learn that one was right.
      admission.mayTry(request.raw);
      if (!auth.checkKey(token)) {
        admission.failed(request.raw);
        throw new HttpFault(401, 'unauthorized', 'This key is not one of auth.keys.');
      }
      return reply
        .setCookie(COOKIE, auth.seal(token), {
          path: '/',
          httpOnly: true,
          sameSite: 'lax',
          secure: secure(request),
          maxAge: COOKIE_MAX_AGE,
        })
        .redirect(request.query.to, 302);
    },
  });
}
