import { run } from 'coral/agent';

await run(async (agent) => {
  const question = agent.options.string('ASK', '');

  // Without a question of its own this agent answers everybody who mentions it, until its session ends.
  if (question === '') return agent.onMention((message) => answer(message.text));

  // With one it begins the conversation and closes the session with what it was told.
  const partner = agent.options.string('PARTNER');
  const thread = await agent.createThread('question', [partner]);
  await agent.send(thread.id, question, [partner]);
  const reply = await agent.waitForMessage({ from: partner });
  await agent.closeSession('The question was answered.', reply?.text);
});

/** This is where your agent's own work goes. */
function answer(question: string): string {
  const words = question.split(/\s+/).filter((word) => word !== '');
  return `That question has ${words.length} words.`;
}
