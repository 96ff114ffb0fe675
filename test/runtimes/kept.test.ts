import { runtimeContract } from '../contracts/runtime.ts';
import { keptWorld } from './executable-world.ts';

runtimeContract('the executable runtime with a keeper', () => keptWorld());
