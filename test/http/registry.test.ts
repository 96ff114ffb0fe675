import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RegistryAgentSource, RegistryAgentView } from '../../src/domain/wire/registry.ts';
import { openDoor, type Door } from './door.ts';

let door: Door;
beforeEach(async () => {
  door = await openDoor({
    scripts: {
      worker: { options: { TOKEN: { type: 'string', secret: true, default: 'hush' } } },
      helper: {},
    },
  });
});
afterEach(() => door.close());

const REGISTRY = '/api/v1/registry';

describe('the registry', () => {
  it('lists all local sources as one, with every agent and version', async () => {
    const sources = (await door.send('GET', REGISTRY)).as(z.array(RegistryAgentSource));
    expect(sources).toEqual([
      {
        identifier: { type: 'local' },
        timestamp: '1970-01-01T00:00:00.000Z',
        name: 'local',
        agents: [
          { name: 'worker', versions: ['1.0.0'] },
          { name: 'helper', versions: ['1.0.0'] },
        ],
      },
    ]);
  });

  it('shows one agent, without its secrets', async () => {
    const answer = await door.send('GET', `${REGISTRY}/local/worker/1.0.0`);
    expect(answer.as(RegistryAgentView)).toMatchObject({
      registryAgent: {
        info: { identifier: { name: 'worker', version: '1.0.0', registrySourceId: { type: 'local' } } },
        options: { TOKEN: { type: 'string', secret: true } },
      },
      restrictions: [{ type: 'local' }],
    });
    expect(answer.text).not.toContain('hush');
  });

  it.each([
    ['local/wroker/1.0.0', 'The local registry has no agent wroker in version 1.0.0.'],
    ['local/worker/2.0.0', 'The local registry has no agent worker in version 2.0.0.'],
    ['marketplace/worker/1.0.0', 'The marketplace registry has no agent worker in version 1.0.0.'],
    ['linked/far/worker/1.0.0', 'The linked server far has no agent worker in version 1.0.0.'],
  ])('answers 404 for %s', async (path, message) => {
    expect((await door.send('GET', `${REGISTRY}/${path}`)).refused(404, 'unknown_agent').message).toBe(
      message,
    );
  });
});
