/** Teams: session requests that people wrote. Source: docs/wire.md, "Team files". */
import { z } from 'zod';
import { Refusal } from '../domain/refusal.ts';
import type { Team, TeamRun } from '../domain/team.ts';
import { Annotations, Execution } from '../domain/wire/request.ts';
import { TeamView, teamView } from '../domain/wire/registry.ts';
import { SessionIdentifier } from '../domain/wire/session.ts';
import type { App, Door } from './door.ts';
import { errors, WRITES } from './schemas.ts';

/** Inputs end up in strings, so numbers and booleans are as good. */
export const TeamRunRequest = z.object({
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).transform(String)).nullish(),
  annotations: Annotations.nullish(),
  execution: Execution.nullish(),
  namespace: z.string().nullish(),
  directory: z
    .string()
    .refine((path) => path.startsWith('/'), 'Must be an absolute path.')
    .nullish()
    .describe('Where relative inputs of type `path` start'),
});

const tags = ['teams'];

export function teamRoutes(app: App, { coral, environment }: Door): void {
  app.route({
    method: 'GET',
    url: '/api/v1/teams',
    schema: {
      tags,
      summary: 'List the teams',
      response: { 200: z.array(TeamView), ...errors() },
    },
    handler: async () => coral.registry.teams().map(teamView),
  });

  app.route({
    method: 'POST',
    url: '/api/v1/teams/:team/session',
    schema: {
      tags,
      summary: 'Open a session of a team',
      params: z.object({ team: z.string().describe('Name of the team') }),
      body: TeamRunRequest,
      response: { 200: SessionIdentifier, ...errors(...WRITES, 404) },
    },
    preValidation: async (request) => {
      (request as { body: unknown }).body ??= {};
    },
    handler: async (request) => {
      const team = coral.registry.team(request.params.team);
      if (team === undefined) {
        throw new Refusal('unknown_team', `There is no team ${JSON.stringify(request.params.team)}.`);
      }
      const meant = team.request(teamRun(request.body), environment);
      if (isFaults(meant)) {
        const [first] = meant;
        throw new Refusal(
          'invalid_request',
          `The team ${team.name} cannot run: ${first === undefined ? 'it has faults.' : `${first.path}: ${first.message}`}`,
          meant,
        );
      }
      return coral.open(meant);
    },
  });
}

function teamRun({
  inputs,
  annotations,
  execution,
  namespace,
  directory,
}: z.output<typeof TeamRunRequest>): TeamRun {
  return {
    ...(inputs != null && { inputs }),
    ...(annotations != null && { annotations }),
    ...(execution != null && { execution }),
    ...(namespace != null && { namespace }),
    ...(directory != null && { directory }),
  };
}

function isFaults(meant: ReturnType<Team['request']>): meant is Extract<typeof meant, readonly unknown[]> {
  return Array.isArray(meant);
}
