/** `puppet`: connects and then does nothing, for ever. What it says is said for it, over the puppet API. */
import { connect } from 'coral/agent';
import { aborted } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

export default async function puppet({ environment, signal, log }: FunctionContext): Promise<void> {
  const agent = await connect({ environment, signal, log: (text) => log(text, { io: 'error' }) });
  await aborted(agent.signal);
  await agent.close();
}
