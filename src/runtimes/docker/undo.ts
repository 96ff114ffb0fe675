/** Acquiring with the release in the same breath. */

/** What has to be undone when a launch comes to nothing, the newest first. */
export class Undo {
  private steps: (() => void | Promise<void>)[] = [];
  private readonly finals: (() => void)[] = [];

  add(step: () => void | Promise<void>): void {
    this.steps.push(step);
  }

  /** Done in the end, whether the launch succeeded or not. */
  always(step: () => void): void {
    this.finals.push(step);
  }

  onlyAlways(): void {
    this.steps = [];
    for (const step of this.finals) step();
  }

  async all(): Promise<void> {
    for (let step = this.steps.pop(); step !== undefined; step = this.steps.pop()) {
      // What cannot be undone now is the sweep's.
      await Promise.resolve(step()).catch(() => undefined);
    }
    this.onlyAlways();
  }
}
