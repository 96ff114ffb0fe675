/** Which versions of servers and keepers work together. */
import { expect, it } from 'vitest';
import { goTogether } from '../../src/runtimes/executable/keeper/versions.ts';

it.each([
  [{ version: 1, oldest: 1 }, { version: 1, oldest: 1 }, true],
  [{ version: 2, oldest: 1 }, { version: 1, oldest: 1 }, true],
  [{ version: 3, oldest: 2 }, { version: 1, oldest: 1 }, false],
  [{ version: 3, oldest: 2 }, { version: 2, oldest: 2 }, true],
  [{ version: 9, oldest: 5 }, { version: 4, oldest: 4 }, false],
])('%j and %j go together: %s, whoever of them is the server', (one, other, together) => {
  expect([goTogether(one, other), goTogether(other, one)]).toEqual([together, together]);
});
