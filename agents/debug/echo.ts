/**
 * `echo`: answers messages with a fixed text, mentioning the sender, and ends after so many answers. Options:
 * START_DELAY (ms before it connects), ITERATION_COUNT (answers; 20), FROM_AGENT (only this agent's messages),
 * MENTIONS (only messages that mention it).
 */
import { runAfterStartDelay } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

const ANSWER = 'nice message!';

export default async function echo(context: FunctionContext): Promise<void> {
  await runAfterStartDelay(context, async (agent) => {
    const answers = agent.options.u32('ITERATION_COUNT', 20);
    const from = agent.options.string('FROM_AGENT', '');
    const mention = agent.options.bool('MENTIONS', false);
    for (let answered = 0; answered < answers;) {
      const message = await agent.waitForMessage({ mention, ...(from !== '' && { from }) });
      if (message === undefined) continue;
      try {
        await agent.send(message.threadId, ANSWER, [message.senderName]);
        answered += 1;
      } catch (error) {
        if (agent.signal.aborted) throw error;
        context.log(`could not answer ${message.senderName}: ${(error as Error).message}`, { io: 'error' });
      }
    }
  });
}
