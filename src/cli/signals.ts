/** Ctrl-C and SIGTERM: the first asks for a good end, the second takes none of it. */
import { EXIT } from './exit-codes.ts';

/** What to do at the first signal and at the second. */
export interface SignalHandlers {
  first(signal: 'SIGINT' | 'SIGTERM'): void;
  /** What must be done even now; it gets two seconds. */
  second(): Promise<void>;
}

const LAST_MOMENT = 2_000;

/** Handles signals until the returned function is called. */
export function onSignals(handlers: SignalHandlers): () => void {
  let signals = 0;
  const on = (signal: 'SIGINT' | 'SIGTERM') => () => {
    signals += 1;
    if (signals === 1) handlers.first(signal);
    if (signals !== 2) return;
    const leave = (): void => process.exit(signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated);
    setTimeout(leave, LAST_MOMENT);
    void handlers.second().then(leave, leave);
  };
  const onInterrupt = on('SIGINT');
  const onTerminate = on('SIGTERM');
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  // The terminal was closed: as good a reason to end in good order.
  process.on('SIGHUP', onTerminate);
  return () => {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onTerminate);
    process.off('SIGHUP', onTerminate);
  };
}
