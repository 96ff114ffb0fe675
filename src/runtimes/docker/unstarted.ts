/**
 * A container that a server made, and whose start it did not live to hear of. The start may be under way in the engine,
 * which starts nothing twice: so the next server asks for it again, and the launch goes on in the same attempt.
 */
import type { Ending } from '../../domain/exit.ts';
import { lost } from '../ending.ts';
import { EngineRefusal, type Engine } from './engine.ts';

const KILLED = 'The server that launched it ended before it was started';

/** One such container. */
export class Unstarted {
  wasTried = false;
  private refusal: string | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly id: string,
  ) {}

  /** Resolves with true: what came of it is to be looked at. Rejects when the engine cannot be asked. */
  async start(): Promise<true> {
    try {
      await this.engine.text({ method: 'POST', path: `/containers/${this.id}/start` });
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
      this.refusal = error.reason;
    }
    this.wasTried = true;
    return true;
  }

  /** What its agent is told when it was not started in the end. */
  get ending(): Ending {
    if (this.refusal === undefined) return lost(`${KILLED}.`);
    return { kind: 'could_not_start', detail: `${KILLED}, and it cannot be started now: ${this.refusal}` };
  }
}
