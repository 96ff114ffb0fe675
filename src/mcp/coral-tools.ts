/**
 * The tools every agent has, in the order they are listed. Source: docs/wire.md, "Tools". No output schemas are
 * announced: clients check results against them, also results that are errors.
 */
import { z } from 'zod';
import type { WaitFilter } from '../domain/event.ts';
import {
  anything,
  defineTool,
  ignored,
  milliseconds,
  names,
  optionalText,
  text,
  type CoralTool,
  type ToolCall,
} from './tool.ts';

/** ms; common MCP clients give up at exactly 60 s. */
export const LONGEST_WAIT_MS = 55_000;

/** Our own tools. */
export interface CoralTools {
  readonly byName: ReadonlyMap<string, CoralTool>;
  /** Only for agents with the plugin `close_session_tool`. */
  readonly closeSession: string;
}

/** `defaultWaitMs`: how long a wait lasts that does not say. */
export function createCoralTools(defaultWaitMs: number): CoralTools {
  const defaultWait = clip(defaultWaitMs);

  const waitInput = {
    currentUnixTime: ignored('Not needed: the server knows the time and what you were handed already.'),
    maxWaitMs: milliseconds(
      `How long to wait at most, in milliseconds; ${LONGEST_WAIT_MS} at the most, ${defaultWait} when left out.`,
    ),
    afterMessageId: optionalText(
      'Leave this out in general. With the id of a message you get the oldest message after that one, even if you were handed it before.',
    ),
  };
  type WaitInput = z.output<z.ZodObject<typeof waitInput>>;

  async function wait(filters: readonly WaitFilter[], input: WaitInput, call: ToolCall) {
    const delivery = await call.participant.wait({
      filters,
      maxWaitMs: input.maxWaitMs === undefined ? defaultWait : clip(input.maxWaitMs),
      ...(input.afterMessageId !== undefined && { afterMessageId: input.afterMessageId }),
      signal: call.signal,
    });
    call.settleWithAnswer(delivery);
    const message = delivery.value;
    return message === undefined ? { status: 'Timeout reached' } : { message, status: 'Message received' };
  }

  const again =
    ' Returns the oldest one you were not handed yet, at once if there is one. When the status is "Timeout reached" nothing was lost: call it again to go on waiting.';

  const tools: readonly CoralTool[] = [
    defineTool({
      name: 'coral_create_thread',
      title: 'Create a thread',
      description:
        'Creates a thread: a conversation that only its participants can see. You are a participant of every thread you create. Returns the thread with its id, which the other tools ask for.',
      input: z.object({
        threadName: text('What the thread is about, in a few words.'),
        participantNames: names('The names of the other agents that take part; you are added by yourself.'),
      }),
      run: async ({ threadName, participantNames }, { participant }) => ({
        thread: await participant.createThread(threadName, participantNames),
      }),
    }),
    defineTool({
      name: 'coral_close_thread',
      title: 'Close a thread',
      description:
        'Closes a thread you take part in. Nobody can send messages into it any more, and only the summary stays readable, so put every result that matters into it.',
      input: z.object({
        threadId: text('The id of the thread.'),
        summary: text('What came out of the conversation.'),
      }),
      destructive: true,
      run: async ({ threadId, summary }, { participant }) => {
        await participant.closeThread(threadId, summary);
        return { message: 'Thread closed successfully' };
      },
    }),
    defineTool({
      name: 'coral_add_participant',
      title: 'Add a participant',
      description:
        'Adds an agent to a thread you take part in. It can read and be handed the messages that were sent before, too.',
      input: z.object({
        threadId: text('The id of the thread.'),
        participantName: text('The name of the agent to add.'),
      }),
      run: async ({ threadId, participantName }, { participant }) => {
        await participant.addParticipant(threadId, participantName);
        return { message: 'Participant added successfully' };
      },
    }),
    defineTool({
      name: 'coral_remove_participant',
      title: 'Remove a participant',
      description: 'Takes an agent out of a thread you take part in. It no longer sees the thread.',
      input: z.object({
        threadId: text('The id of the thread.'),
        participantName: text('The name of the agent to remove.'),
      }),
      destructive: true,
      run: async ({ threadId, participantName }, { participant }) => {
        await participant.removeParticipant(threadId, participantName);
        return { message: 'Participant removed successfully' };
      },
    }),
    defineTool({
      name: 'coral_send_message',
      title: 'Send a message',
      description:
        'Sends a message into a thread you take part in. Mention the agents you want an answer or an action from: agents often wait only for messages that mention them. You cannot mention yourself or an agent that does not take part in the thread.',
      input: z.object({
        threadId: text('The id of the thread.'),
        content: text('The message.'),
        mentions: names(
          'The names of the participants this message is for; an empty list when it is for nobody in particular.',
        ),
        idempotencyKey: optionalText(
          'Leave this out in general. A name of your own for this message: sent again with it, it is not sent twice.',
        ),
      }),
      run: async ({ threadId, content, mentions, idempotencyKey }, { participant }) => ({
        status: 'Message sent successfully',
        message: await participant.sendMessage(threadId, content, mentions, idempotencyKey),
      }),
    }),
    defineTool({
      name: 'coral_wait_for_message',
      title: 'Wait for a message',
      description: `Waits for a message from any other agent in any of your threads.${again}`,
      input: z.object(waitInput),
      waits: true,
      readOnly: true,
      run: (input, call) => wait([], input, call),
    }),
    defineTool({
      name: 'coral_wait_for_mention',
      title: 'Wait for a mention',
      description: `Waits for a message that mentions you, in any of your threads.${again}`,
      input: z.object(waitInput),
      waits: true,
      readOnly: true,
      run: (input, call) => wait([{ type: 'mentions', name: call.participant.agent }], input, call),
    }),
    defineTool({
      name: 'coral_wait_for_agent',
      title: 'Wait for an agent',
      description: `Waits for a message from one particular agent, in any of your threads.${again}`,
      input: z.object({ agentName: text('The name of the agent to hear from.'), ...waitInput }),
      waits: true,
      readOnly: true,
      run: ({ agentName, ...input }, call) => wait([{ type: 'from', name: agentName }], input, call),
    }),
    defineTool({
      name: CLOSE_SESSION,
      title: 'Close the session',
      description:
        'Ends the whole session: every agent is stopped, you too. Call it once the work is done, as your last act.',
      input: z.object({
        reason: text('Why the session is over, in a sentence.'),
        result: anything("The session's outcome for whoever started it: text, or JSON written as text."),
      }),
      destructive: true,
      run: async ({ reason, result }, { participant }) => {
        await (result === undefined || result === null
          ? participant.closeSession(reason)
          : participant.closeSession(reason, result));
        return { message: 'Session closed successfully' };
      },
    }),
  ];
  return { byName: new Map(tools.map((tool) => [tool.listing.name, tool])), closeSession: CLOSE_SESSION };
}

const CLOSE_SESSION = 'coral_close_session';

function clip(ms: number): number {
  return Math.min(LONGEST_WAIT_MS, Math.max(0, Math.round(ms)));
}
