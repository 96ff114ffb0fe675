/** After many sessions of containers that ended in every way, nothing is left: in the engine, of this process, on this machine. */
import { expect, it } from 'vitest';
import { describeDocker, ENDPOINT } from '../support/docker.ts';
import { playMixedEndings } from '../support/mixed-endings.ts';

/** `npm run bench -- docker` plays two hundred. */
const SESSIONS = 16;

describeDocker('many sessions of mixed endings', () => {
  it('leave nothing', { timeout: 300_000 }, async () => {
    const { left, descriptors, wrong, volumes } = await playMixedEndings(ENDPOINT, SESSIONS);
    expect({ left, wrong }).toEqual({ left: [], wrong: [] });
    expect(descriptors).toBeLessThanOrEqual(2);
    expect(volumes).toBeGreaterThan(SESSIONS / 2);
  });
});
