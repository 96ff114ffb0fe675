/** Reads the markdown of `coral://state` back into data. Source: docs/wire.md, "Resources". */

/** Another agent of the session that this one is linked to. */
export interface Peer {
  readonly agentName: string;
  readonly agentDescription?: string;
  readonly agentConnected: boolean;
  readonly agentWaiting: boolean;
  readonly agentSleeping: boolean;
  readonly agentRunning: boolean;
  /** When it was launched, if it ever was: with `agentRunning` false, it has ended. */
  readonly agentStartTime?: string;
}

/** A thread that this agent takes part in, with its latest messages while it is open. */
export interface ThreadView {
  readonly threadId: string;
  readonly threadName: string;
  readonly owningAgentName: string;
  readonly participatingAgents: readonly string[];
  readonly state: unknown;
  readonly summary?: string;
  readonly earlierMessages?: number;
  readonly messages?: readonly {
    readonly messageText: string;
    readonly sendingAgentName: string;
    readonly messageTimestamp: string;
    readonly mentionAgentNames?: readonly string[];
  }[];
}

/** `coral://state` as text and as data. */
export interface AgentStateView {
  /** The resource as the server wrote it: markdown, ready for an LLM's prompt. */
  readonly text: string;
  readonly agents: readonly Peer[];
  readonly threads: readonly ThreadView[];
}

/** Throws SyntaxError when a fenced list is no JSON. */
export function readStateText(text: string): AgentStateView {
  return {
    text,
    agents: fencedList(text, 'Agents') as Peer[],
    threads: fencedList(text, 'Threads and messages') as ThreadView[],
  };
}

/** The JSON list in the first fence below a heading; empty when the part is not there. */
function fencedList(text: string, heading: string): unknown[] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `# ${heading}`);
  if (start < 0) return [];
  const open = lines.findIndex((line, index) => index > start && line.startsWith('```'));
  const close = lines.findIndex((line, index) => index > open && line.trimEnd() === '```');
  if (open < 0 || close < 0) return [];
  const value: unknown = JSON.parse(lines.slice(open + 1, close).join('\n'));
  return Array.isArray(value) ? value : [];
}
