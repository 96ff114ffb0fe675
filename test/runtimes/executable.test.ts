import { psTable } from '../../src/runtimes/executable/process-table-ps.ts';
import { runtimeContract } from '../contracts/runtime.ts';
import { executableWorld } from './executable-world.ts';

runtimeContract('the executable runtime', () => executableWorld());
// Where there is no /proc this is all it has; `ps` is to be had everywhere.
runtimeContract('the executable runtime, seeing only what ps shows,', () =>
  executableWorld({ table: psTable() }),
);
