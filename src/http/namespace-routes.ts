/** Namespaces and the sessions in them. Source: docs/wire.md, "Namespaces". */
import { z } from 'zod';
import type { NamespaceState } from '../domain/namespace.ts';
import { namespaceBase, sessionBase, sessionExtended } from '../domain/view.ts';
import { NamespaceRequest } from '../domain/wire/request.ts';
import {
  NamespaceStateBase,
  NamespaceStateExtended,
  SessionStateBase,
  SessionStateExtended,
} from '../domain/wire/session.ts';
import type { App, Door } from './door.ts';
import { Empty, errors, NamespaceParams, WRITES } from './schemas.ts';

const tags = ['namespaces'];

export function namespaceRoutes(app: App, { coral }: Door): void {
  const extended = (namespace: NamespaceState): NamespaceStateExtended => ({
    base: namespaceBase(namespace),
    sessions: coral.sessions(namespace.name).map(sessionBase),
  });

  app.route({
    method: 'POST',
    url: '/api/v1/local/namespace',
    schema: {
      tags,
      summary: 'Make a namespace',
      body: NamespaceRequest,
      response: { 200: Empty, ...errors(...WRITES) },
    },
    handler: async (request, reply) => {
      await coral.createNamespace(request.body);
      return reply.send();
    },
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/namespace',
    schema: {
      tags,
      summary: 'List the namespaces',
      response: { 200: z.array(NamespaceStateBase), ...errors() },
    },
    handler: async () => coral.namespaces().map(namespaceBase),
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/namespace/extended',
    schema: {
      tags,
      summary: 'List the namespaces with their sessions',
      response: { 200: z.array(NamespaceStateExtended), ...errors() },
    },
    handler: async () => coral.namespaces().map(extended),
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/namespace/:namespace',
    schema: {
      tags,
      summary: 'List the sessions of a namespace',
      params: NamespaceParams,
      response: { 200: z.array(SessionStateBase), ...errors(404) },
    },
    handler: async (request) => coral.sessions(request.params.namespace).map(sessionBase),
  });

  app.route({
    method: 'GET',
    url: '/api/v1/local/namespace/:namespace/extended',
    schema: {
      tags,
      summary: 'List the sessions of a namespace with their agents and threads',
      params: NamespaceParams,
      response: { 200: z.array(SessionStateExtended), ...errors(404) },
    },
    handler: async (request) =>
      coral.sessions(request.params.namespace).map((session) => sessionExtended(session)),
  });

  app.route({
    method: 'DELETE',
    url: '/api/v1/local/namespace/:namespace',
    schema: {
      tags,
      summary: 'Close all sessions of a namespace, then the namespace',
      params: NamespaceParams,
      response: { 200: Empty, ...errors(404, 503, 507) },
    },
    handler: async (request, reply) => {
      await coral.closeNamespace(request.params.namespace);
      return reply.send();
    },
  });
}
