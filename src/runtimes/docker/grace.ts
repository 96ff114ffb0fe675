/** The time something has to end by itself; whoever asks for less in the meantime gets it. */

const LONGEST_TIMER = 2 ** 31 - 1;

/** One stop's grace. */
export class Grace {
  private due = Infinity;
  private hurry: () => void = () => undefined;

  constructor(private readonly now: () => number) {}

  /** It is over in `ms`, or sooner where that was asked for already. */
  shorten(ms: number): void {
    this.due = Math.min(this.due, this.now() + ms);
    this.hurry();
  }

  get isOver(): boolean {
    return this.due <= this.now();
  }

  /** Resolves when it is over, or `ended` resolves. */
  async wait(ended: Promise<void>): Promise<void> {
    let hasEnded = false;
    const end = ended.then(() => {
      hasEnded = true;
    });
    while (!hasEnded && !this.isOver) {
      let timer: NodeJS.Timeout | undefined;
      const passed = new Promise<void>((resolve) => {
        this.hurry = resolve;
        timer = setTimeout(resolve, Math.min(this.due - this.now(), LONGEST_TIMER));
      });
      await Promise.race([end, passed]);
      clearTimeout(timer);
    }
  }
}
