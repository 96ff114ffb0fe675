/** The API's description, and a page that shows it. Source: docs/wire.md, "Documents". */
import { createHash } from 'node:crypto';
import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { CONSOLE_PAGE } from './console-page.ts';
import { DOCS_PAGE } from './docs-page.ts';
import { DOCS_SCRIPT } from './docs-script.ts';
import type { App, Door } from './door.ts';
import { openApi } from './openapi.ts';

const PAGE = '/ui/docs';

/** `routes`: all that were registered, also after this. */
export function documentRoutes(app: App, { version }: Door, routes: readonly RouteOptions[]): void {
  let document: string | undefined;
  app.route({
    method: 'GET',
    url: '/api_v1.json',
    config: { public: true },
    schema: {
      tags: ['server'],
      summary: 'This document',
      security: [],
      response: { 200: z.looseObject({ openapi: z.string() }).describe('OpenAPI 3.1') },
    },
    handler: async (_request, reply) => {
      document ??= JSON.stringify(openApi(routes, version));
      return reply
        .type('application/json; charset=utf-8')
        .serializer(String)
        .send(document as never);
    },
  });

  // A person who types the server's address: there is no console to go on to yet.
  app.route({
    method: 'GET',
    url: '/',
    config: { public: true },
    schema: {
      tags: ['server'],
      summary: 'Go to where a person can read on',
      security: [],
      response: { 302: z.void().describe(`Go on at ${PAGE}`) },
    },
    handler: async (_request, reply) => reply.redirect(PAGE, 302),
  });

  const page = (url: string, summary: string, html: string, policy: string): void => {
    const everywhere = "base-uri 'none'; frame-ancestors 'none'";
    app.route({
      method: 'GET',
      url,
      config: { public: true },
      schema: {
        tags: ['server'],
        summary,
        security: [],
        response: { 200: z.string().describe('text/html') },
      },
      handler: async (_request, reply) =>
        reply
          .header('content-security-policy', `default-src 'none'; ${policy}; ${everywhere}`)
          .type('text/html; charset=utf-8')
          .serializer(String)
          .send(html),
    });
  };
  const script = createHash('sha256').update(DOCS_SCRIPT).digest('base64');
  const needs = `script-src 'sha256-${script}'; style-src 'unsafe-inline'; connect-src 'self'`;
  page(PAGE, 'A page that shows this document', DOCS_PAGE, needs);
  page('/ui/console', 'Where a browser goes on after logging in', CONSOLE_PAGE, "style-src 'unsafe-inline'");
}
