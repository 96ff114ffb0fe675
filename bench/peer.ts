/** The other side of `Peer` in `bench/harness.ts`: a process that answers questions until it is asked to end. */

/** Answers each question with what its function returns; `end` is answered last. */
export function answer(
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a question brings is known by its asker
  questions: Readonly<Record<string, (argument: any) => unknown>>,
): void {
  process.on('message', ({ id, question, argument }: Asked) => {
    void (async () => {
      try {
        const value = await questions[question]?.(argument);
        process.send?.({ id, value });
      } catch (error) {
        process.send?.({
          id,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      }
    })();
  });
  process.once('disconnect', () => process.exit(0));
}

interface Asked {
  readonly id: number;
  readonly question: string;
  readonly argument: unknown;
}
