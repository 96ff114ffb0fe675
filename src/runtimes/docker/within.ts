/** Waiting with an end. */

/** Whether something happens in time; `meanwhile` is called every second. */
export async function within(
  done: Promise<unknown>,
  ms: number,
  meanwhile: () => void = () => undefined,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const ticking = setInterval(meanwhile, 1_000);
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([done.then(() => true), late]);
  } finally {
    clearTimeout(timer);
    clearInterval(ticking);
  }
}
