/** An agent as somebody would write it, run as a process of its own by the tests. */
import { run } from '../../../src/client/agent/index.ts';

await run(async (agent) => {
  agent.signal.addEventListener('abort', () => process.stdout.write('leaving\n'));
  process.stdout.write('here\n');
  await agent.onMention(
    async (message) => {
      if (message.text === 'fail') throw new Error('I was told to fail.');
      if (message.text === 'leave') {
        await agent.close();
        return;
      }
      return `${message.text}!`;
    },
    agent.options.bool('STRICT', false) ? { onError: 'throw' } : {},
  );
});
