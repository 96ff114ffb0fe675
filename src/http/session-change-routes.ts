/** A running session changes: agents join and leave, the deadline moves. Source: docs/wire.md, "Changing a running session". */
import { z } from 'zod';
import { AgentDetail } from '../domain/agent-detail.ts';
import { GraphAgentRequest, MAX_DURATION } from '../domain/wire/request.ts';
import type { App, Door } from './door.ts';
import { Empty, errors, SessionParams, WRITES } from './schemas.ts';

const tags = ['sessions'];
const base = '/api/v1/local/session/:namespace/:sessionId';
const AgentParams = SessionParams.extend({ agent: z.string().describe('Name of the agent in the session') });

/** Registers them. */
export function sessionChangeRoutes(app: App, { coral }: Door): void {
  app.route({
    method: 'POST',
    url: `${base}/agents`,
    config: { body: 'session' },
    schema: {
      tags,
      summary: 'Add an agent to a running session',
      description: 'Its name must be new to the session. `groups` name the agents it is linked with.',
      params: SessionParams,
      body: GraphAgentRequest.extend({ groups: z.array(z.array(z.string())).default([]) }),
      response: { 200: AgentDetail, ...errors(...WRITES, 404, 409) },
    },
    handler: async ({ params, body }) => {
      const { groups, ...agent } = body;
      await coral.addAgent(params, agent, groups);
      return coral.agent(params, agent.name);
    },
  });

  app.route({
    method: 'GET',
    url: `${base}/agents/:agent`,
    schema: {
      tags,
      summary: 'Why is an agent (not) running?',
      description: 'Where it is and why, what runs, how its launch goes, its last ends, its next start.',
      params: AgentParams,
      response: { 200: AgentDetail, ...errors(404, 503) },
    },
    handler: async ({ params }) => coral.agent(params, params.agent),
  });

  app.route({
    method: 'DELETE',
    url: `${base}/agents/:agent`,
    schema: {
      tags,
      summary: 'Dismiss an agent',
      description:
        'It leaves its threads and links, is stopped and not started again. Answers when it is gone.',
      params: AgentParams,
      response: { 200: Empty, ...errors(404, 503, 507) },
    },
    handler: async ({ params }, reply) => {
      await coral.dismissAgent(params, params.agent);
      return reply.send();
    },
  });

  app.route({
    method: 'PATCH',
    url: `${base}/ttl`,
    schema: {
      tags,
      summary: 'Move the deadline of a running session',
      params: SessionParams,
      body: z.object({
        ttl: z
          .number()
          .int()
          .min(0)
          .max(MAX_DURATION)
          .nullable()
          .describe('ms from execution; null: no deadline'),
      }),
      response: { 200: Empty, ...errors(...WRITES, 404) },
    },
    handler: async ({ params, body }, reply) => {
      await coral.changeTtl(params, body.ttl ?? undefined);
      return reply.send();
    },
  });
}
