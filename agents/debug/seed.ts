/**
 * `seed`: fills a session with threads and messages and ends. Options: START_DELAY (ms before it connects),
 * OPERATION_DELAY (ms before each thread and each message), SEED_THREAD_COUNT (1), SEED_MESSAGE_COUNT (in each
 * thread; 0), PARTICIPANTS (of each thread), MENTIONS (of each message).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { runAfterStartDelay } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

export default async function seed(context: FunctionContext): Promise<void> {
  await runAfterStartDelay(context, async (agent) => {
    const pause = agent.options.u32('OPERATION_DELAY', 0);
    const threads = agent.options.u32('SEED_THREAD_COUNT', 1);
    const messages = agent.options.u32('SEED_MESSAGE_COUNT', 0);
    const participants = agent.options.list('PARTICIPANTS');
    const mentions = agent.options.list('MENTIONS');
    const breathe = async (): Promise<void> => {
      if (pause > 0) await sleep(pause, undefined, { signal: agent.signal });
    };
    for (let t = 0; t < threads; t += 1) {
      await breathe();
      const thread = await agent.createThread(`thread ${t}`, participants);
      for (let m = 0; m < messages; m += 1) {
        await breathe();
        await agent.send(thread.id, `message ${m}`, mentions);
      }
    }
  });
}
