/**
 * Whether there is a Docker Engine for the tests. Without one the suites are left out, and say so; with
 * `CORAL_REQUIRE_DOCKER=1` that is a failure.
 */
import { homedir } from 'node:os';
import { describe, it } from 'vitest';
import { Engine } from '../../src/runtimes/docker/engine.ts';
import { findEndpoint } from '../../src/runtimes/docker/options.ts';

export const ENDPOINT = findEndpoint(process.env, homedir());

const reason = await reasonAgainst();

/** An engine answers. */
export const hasDocker = reason === undefined;

if (reason !== undefined) console.error(`\n!!! Docker tests are LEFT OUT: ${reason}\n`); // eslint-disable-line no-console

async function reasonAgainst(): Promise<string | undefined> {
  const engine = new Engine({ endpoint: ENDPOINT });
  try {
    await engine.ping();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    engine.close();
  }
}

/** A suite that needs an engine. */
export function describeDocker(name: string, suite: () => void): void {
  if (reason === undefined) describe(name, suite);
  else if (process.env['CORAL_REQUIRE_DOCKER'] === '1')
    it(`${name} (needs Docker)`, () => {
      throw new Error(`CORAL_REQUIRE_DOCKER=1, but the Docker tests cannot run: ${reason}`);
    });
  else describe.skip(`${name} (left out: ${reason})`, suite);
}
