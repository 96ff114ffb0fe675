/** What can be launched. Source: docs/wire.md, "Registry". */
import { z } from 'zod';
import type { RegistrySourceId } from '../domain/definition.ts';
import {
  registryAgentView,
  RegistryAgentSource,
  RegistryAgentView,
  registrySources,
} from '../domain/wire/registry.ts';
import type { App, Door } from './door.ts';
import { HttpFault } from './errors.ts';
import { errors } from './schemas.ts';

const tags = ['registry'];
const agent = {
  name: z.string().describe('Name of the agent'),
  version: z.string().describe('Version of the agent'),
};

export function registryRoutes(app: App, { coral }: Door): void {
  const found = (name: string, version: string, source: RegistrySourceId): RegistryAgentView => {
    const known = coral.registry.find({ name, version, registrySourceId: source });
    if (known !== undefined) return registryAgentView(known);
    const where =
      source.type === 'linked' ? `linked server ${source.linkedServerId}` : `${source.type} registry`;
    throw new HttpFault(404, 'unknown_agent', `The ${where} has no agent ${name} in version ${version}.`);
  };

  app.route({
    method: 'GET',
    url: '/api/v1/registry',
    schema: {
      tags,
      summary: 'List the sources of agents and what they offer',
      response: { 200: z.array(RegistryAgentSource), ...errors() },
    },
    handler: async () => registrySources(coral.registry),
  });

  for (const type of ['local', 'marketplace'] as const) {
    app.route({
      method: 'GET',
      url: `/api/v1/registry/${type}/:name/:version`,
      schema: {
        tags,
        summary: `Look at an agent of the ${type} registry`,
        params: z.object(agent),
        response: { 200: RegistryAgentView, ...errors(404) },
      },
      handler: async (request) => found(request.params.name, request.params.version, { type }),
    });
  }

  app.route({
    method: 'GET',
    url: '/api/v1/registry/linked/:server/:name/:version',
    schema: {
      tags,
      summary: 'Look at an agent of a linked server',
      params: z.object({ server: z.string().describe('Name of the linked server'), ...agent }),
      response: { 200: RegistryAgentView, ...errors(404) },
    },
    handler: async (request) => {
      const { server, name, version } = request.params;
      return found(name, version, { type: 'linked', linkedServerId: server });
    },
  });
}
