/**
 * `tool`: calls one tool, prints its answer and ends. Options: START_DELAY (ms before it connects), TOOL_NAME
 * (required), TOOL_INPUT (a JSON object; {}).
 */
import { ToolError } from 'coral/agent';
import { runAfterStartDelay } from '../function-agent.ts';
import type { FunctionContext } from '../function-agent.ts';

export default async function tool(context: FunctionContext): Promise<void> {
  await runAfterStartDelay(context, async (agent) => {
    const name = agent.options.string('TOOL_NAME');
    const input = readInput(agent.options.string('TOOL_INPUT', '{}'));
    try {
      context.log((await agent.callTool(name, input)).text);
    } catch (error) {
      // A tool that says no has been called all the same: that is all this agent is for.
      if (!(error instanceof ToolError)) throw error;
      context.log(error.message, { io: 'error' });
    }
  });
}

function readInput(text: string): Record<string, unknown> {
  let input: unknown;
  try {
    input = JSON.parse(text === '' ? '{}' : text);
  } catch (error) {
    throw new Error(`Option TOOL_INPUT is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new Error('Option TOOL_INPUT should be a JSON object: the tool arguments by name.');
  }
  return input as Record<string, unknown>;
}
