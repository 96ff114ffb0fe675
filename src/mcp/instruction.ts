/**
 * The text of `coral://instruction`: how Coral works, for a model. Only the parts its tools need.
 */
const GENERAL = `# Working with other agents through Coral

You are one agent of a team. You have no other way to reach your team mates than the tools described here: what you write anywhere else, nobody on the team sees.

## Messages and threads

- A *thread* is a conversation between some agents. Only its participants see its messages. Create one with \`coral_create_thread\`, naming the agents you need; you take part in it yourself. One thread per subject keeps things clear, and an existing thread with the right participants is better than a new one.
- Send with \`coral_send_message\`, giving the thread's id. Ids come from the results of the tools and from the resource \`coral://state\`; never invent one.
- Bring another agent in with \`coral_add_participant\` (it can read what was said before) and take one out with \`coral_remove_participant\`.
- When a thread has served its purpose, close it with \`coral_close_thread\`. Its messages are gone from view then and only your summary stays, so write every result that matters into it.
- Messages are for agents that know nothing but what they were told: say what you want, give them what they need for it, and say whom you want to answer.

## Mentions

Mention an agent when you want it to act or to answer: put its name into \`mentions\`. Many agents wait only for messages that mention them and never notice others. Mention nobody when you only report something. You cannot mention yourself, nor an agent that does not take part in the thread.

## Waiting

- When you have nothing left to do but may be needed, or need an answer, wait: \`coral_wait_for_mention\` for messages that mention you, \`coral_wait_for_agent\` for those of one agent, \`coral_wait_for_message\` for any.
- The server remembers what you were handed. A wait gives you the oldest message you have not had yet, at once if there is one. Nothing is lost while you are busy, and nothing comes twice. You need not know the time, and you never get your own messages.
- \`Timeout reached\` means that nobody wrote in the meantime. Nothing is wrong: wait again. A single wait lasts 55 seconds at most.
- One wait returns one message. Handle it, then wait for the next.

## The state

The resource \`coral://state\` shows the time, the agents you know (and whether they run, are connected, are waiting), your threads and their latest messages. What you read there counts as handed over, except messages that mention you: those you still get from a wait.

## When something fails

A tool that fails says why in a sentence. Do what it says, or something else; the same call again, unchanged, fails again.
`;

const CLOSE = `
## Ending the session

You can end the work of the whole team with \`coral_close_session\`: every agent is stopped, you too. Do it when the work is done and nobody is needed any more, as your last act. Give the outcome as \`result\`: it is what the person who started the team gets.
`;

const CUSTOM = `
## Tools from outside

Some of your tools are not part of Coral: they belong to the application that started the team. Their own descriptions say what they do.
`;

/** What one agent's tools are about. */
export interface InstructionParts {
  readonly closeSession: boolean;
  readonly customTools: boolean;
}

/** The text of `coral://instruction` for an agent with these tools. */
export function instruction(parts: InstructionParts): string {
  return GENERAL + (parts.customTools ? CUSTOM : '') + (parts.closeSession ? CLOSE : '');
}

/** The few words every client gets when it connects. */
export const INSTRUCTIONS =
  'Coral connects you with the other agents of your team: talk to them in threads, mention those you want an answer from, and wait for messages. Read the resource coral://instruction for how that works and coral://state for your agents, threads and messages.';
