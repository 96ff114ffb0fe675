/** `puppet`: connects and then does nothing, for ever. What it says is said for it, over the puppet API. */
import { run } from 'coral/agent';
import { aborted } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

export default async function puppet({ environment, signal, log }: FunctionContext): Promise<void> {
  await run((agent) => aborted(agent.signal), {
    environment,
    signal,
    log: (text) => log(text, { io: 'error' }),
  });
}
