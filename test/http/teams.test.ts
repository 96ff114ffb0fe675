import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Team, TeamRun } from '../../src/domain/team.ts';
import type { Issue } from '../../src/domain/refusal.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';
import * as wire from '../../src/domain/wire/session.ts';
import { TeamView } from '../../src/domain/wire/registry.ts';
import { scriptedRegistry } from '../support/engine-world.ts';
import { openDoor, request, type Door } from './door.ts';

let door: Door;
afterEach(() => door.close());

interface Asked {
  run: TeamRun;
  environment: Readonly<Record<string, string | undefined>>;
}

async function open(faults?: readonly Issue[]): Promise<Asked[]> {
  const asked: Asked[] = [];
  const team: Team = {
    name: 'report',
    description: 'Writes a report.',
    inputs: { path: { description: 'Where to look', default: '.' }, to: { description: 'Where it goes' } },
    agents: ['a'],
    file: '/registry/teams/report.yaml',
    request(run, environment) {
      asked.push({ run, environment });
      return faults ?? SessionRequest.parse(request(['a']));
    },
  };
  const registry = {
    ...scriptedRegistry({ worker: {} }),
    teams: () => [team],
    team: (name: string) => (name === 'report' ? team : undefined),
  };
  door = await openDoor({ registry, options: { environment: { HOME: '/home/me' } } });
  return asked;
}

const RUN = '/api/v1/teams/report/session';

describe('teams', () => {
  it('are listed with their inputs and agents', async () => {
    await open();
    expect((await door.send('GET', '/api/v1/teams')).as(z.array(TeamView))).toStrictEqual([
      {
        name: 'report',
        description: 'Writes a report.',
        inputs: {
          path: { description: 'Where to look', default: '.' },
          to: { description: 'Where it goes' },
        },
        agents: ['a'],
        file: '/registry/teams/report.yaml',
      },
    ]);
  });

  it('open a session with what was given, in the environment of the server', async () => {
    const asked = await open();
    const body = {
      inputs: { path: '/x', count: 3 },
      annotations: { owner: 'me' },
      execution: { mode: 'defer' },
      namespace: 'n',
      directory: '/home/me',
    };
    const { sessionId } = (await door.send('POST', RUN, body)).as(wire.SessionIdentifier);
    expect(door.world.coral.sessions().map((session) => session.sessionId)).toEqual([sessionId]);
    expect(asked).toStrictEqual([
      {
        run: {
          inputs: { path: '/x', count: '3' },
          annotations: { owner: 'me' },
          execution: { mode: 'defer' },
          namespace: 'n',
          directory: '/home/me',
        },
        environment: { HOME: '/home/me' },
      },
    ]);
  });

  it('need no body', async () => {
    const asked = await open();
    (await door.send('POST', RUN)).as(wire.SessionIdentifier);
    expect(asked[0]?.run).toStrictEqual({});
  });

  it('that do not exist are 404', async () => {
    await open();
    const error = (await door.send('POST', '/api/v1/teams/raport/session', {})).refused(404, 'unknown_team');
    expect(error.message).toContain('raport');
  });

  it('that have faults tell all of them', async () => {
    await open([
      { path: '4:inputs.to', message: 'Has no value.' },
      { path: '9:agents.a.use', message: 'No such agent.' },
    ]);
    const error = (await door.send('POST', RUN, {})).refused(400, 'invalid_request');
    expect(error.issues).toHaveLength(2);
    expect(error.message).toBe('The team report cannot run: 4:inputs.to: Has no value.');
  });

  it('look at relative paths from an absolute one only', async () => {
    await open();
    const error = (await door.send('POST', RUN, { directory: 'here' })).refused(400, 'invalid_request');
    expect(error.issues).toEqual([{ path: 'directory', message: 'Must be an absolute path.' }]);
  });

  it('take no inputs that are lists', async () => {
    await open();
    const error = (await door.send('POST', RUN, { inputs: { path: ['a'] } })).refused(400, 'invalid_request');
    expect(error.issues).toEqual([
      { path: 'inputs.path', message: 'Must be a string or a number or true or false.' },
    ]);
  });
});
