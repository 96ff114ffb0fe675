import type { Host } from '../../src/ports/host.ts';

/** A clock that stands still until a test moves it. */
export class HandClock implements Pick<Host, 'now' | 'at'> {
  private time = 1_700_000_000_000;
  private alarms: { time: number; wake: () => void }[] = [];

  readonly now = (): number => this.time;

  readonly at = (time: number, wake: () => void): (() => void) => {
    const alarm = { time, wake };
    this.alarms.push(alarm);
    return () => {
      this.alarms = this.alarms.filter((other) => other !== alarm);
    };
  };

  /** Alarms that are set. */
  get pending(): number {
    return this.alarms.length;
  }

  /** When the next alarm is due; undefined: none is set. */
  get next(): number | undefined {
    return this.alarms.length === 0 ? undefined : Math.min(...this.alarms.map(({ time }) => time));
  }

  /** Moves on by `ms`, waking what is due in order of time, each at its own time. */
  advance(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const [next] = this.alarms.filter(({ time }) => time <= until).sort((a, b) => a.time - b.time);
      if (!next) break;
      this.alarms = this.alarms.filter((other) => other !== next);
      this.time = Math.max(this.time, next.time);
      next.wake();
    }
    this.time = until;
  }
}
