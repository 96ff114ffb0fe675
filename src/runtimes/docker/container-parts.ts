/** What one container is given by whoever launched it, or took it over. */
import type { Labels } from '../../domain/launch.ts';
import type { OutputLimits } from '../output-gate.ts';
import type { Engine } from './engine.ts';
import type { KeptEndings } from './kept-endings.ts';
import type { Places } from './queue.ts';
import type { EngineWatcher } from './watcher.ts';

/** What a container works with. */
export interface ContainerParts {
  readonly engine: Engine;
  readonly watcher: EngineWatcher;
  /** Turns of what keeps an engine busy at the end of many containers: each has all of its time only then. */
  readonly endings: Places;
  readonly kept: KeptEndings;
  readonly id: string;
  readonly labels: Labels;
  readonly secrets: readonly string[];
  /** What it runs, for the sentence about one that is not there. */
  readonly program?: string | undefined;
  /** Bytes, for the sentence about too little of it. */
  readonly memory: number;
  readonly now: () => number;
  readonly output?: OutputLimits;
  /** An earlier life of the server started it: what it said since is in the engine's logs. */
  readonly isEarlier?: boolean;
  /** Lets go of what the attempt had besides the container. Never rejects. */
  readonly release: () => Promise<void>;
}
