import { runtimeContract } from '../contracts/runtime.ts';
import { executableWorld } from './executable-world.ts';

runtimeContract('the executable runtime', () => executableWorld());
