import { psTable } from '../../src/runtimes/executable/process-table-ps.ts';
import { runtimeContract } from '../contracts/runtime.ts';
import { executableWorld } from './executable-world.ts';

const limits = { endings: 'only a keeper keeps endings' };
runtimeContract('the executable runtime', () => executableWorld(), limits);
// Where there is no /proc this is all it has; `ps` is to be had everywhere.
runtimeContract(
  'the executable runtime, seeing only what ps shows,',
  () => executableWorld({ table: psTable() }),
  limits,
);
