/**
 * Custom tools over HTTP: a call by an agent is posted to the tool's URL, signed; what comes back is the tool's
 * result. Source: docs/wire.md, "Custom tools".
 */
import type { CustomToolPlan } from '../domain/graph.ts';
import type { SessionKey } from '../domain/state.ts';
import { OutboundError, type Sender } from '../ports/outbound.ts';
import { signBody } from './signature.ts';

/** One call of one tool by one agent. */
export interface CustomToolCall {
  readonly key: SessionKey;
  readonly agent: string;
  readonly name: string;
  readonly tool: CustomToolPlan;
  readonly args: unknown;
  readonly signal?: AbortSignal;
}

/** Text for the model; `structured` only when the tool announced an output schema and answered with a JSON object. */
export interface CustomToolResult {
  readonly text: string;
  readonly isError: boolean;
  readonly structured?: Record<string, unknown>;
}

/** How tools are called. */
export interface CustomToolsOptions {
  readonly sender: Sender;
  /** `network.customToolSecret`. */
  readonly secret: string;
  /** ms; default 50000, below the 60 s at which common MCP clients give up. */
  readonly timeoutMs?: number;
  /** Default 4 MiB. */
  readonly maxAnswerBytes?: number;
}

/** Calls custom tools. */
export class CustomTools {
  constructor(private readonly options: CustomToolsOptions) {}

  /** Never rejects: every failure is a result that says so, without anything internal. */
  async call({ key, agent, name, tool, args, signal }: CustomToolCall): Promise<CustomToolResult> {
    const { sender, secret, timeoutMs = 50_000, maxAnswerBytes = 4 * 1024 * 1024 } = this.options;
    const body = JSON.stringify(args ?? {});
    try {
      const { status, body: text } = await sender.post({
        url: callUrl(tool.transport.url, key.sessionId, agent),
        body,
        headers: {
          [tool.transport.signatureHeader]: signBody(secret, body),
          'X-Coral-Namespace': headerText(key.namespace),
          'X-Coral-SessionId': key.sessionId,
          'X-Coral-AgentName': headerText(agent),
        },
        timeoutMs,
        maxAnswerBytes,
        ...(signal !== undefined && { signal }),
      });
      if (status !== 200) {
        return { isError: true, text: `The tool "${name}" answered with status ${status}.` };
      }
      return { isError: false, text, ...(tool.outputSchema != null && structuredOf(text)) };
    } catch (error) {
      const why = error instanceof OutboundError ? WHY[error.code] : 'failed';
      return { isError: true, text: `The tool "${name}" ${why}.` };
    }
  }
}

const WHY: Readonly<Record<OutboundError['code'], string>> = {
  refused_address: 'is at an address this server may not call',
  timeout: 'did not answer in time',
  unreachable: 'cannot be reached',
  too_large: 'answered with more than this server takes',
  aborted: 'was given up',
};

/** The session and the agent as further path segments; a query stays behind them. */
export function callUrl(base: string, sessionId: string, agent: string): string {
  const url = new URL(base);
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  url.pathname = `${path}${encodeURIComponent(sessionId)}/${encodeURIComponent(agent)}`;
  return url.toString();
}

/** Header values take Latin letters only; anything else is percent-encoded. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text);
}

function structuredOf(text: string): { structured: Record<string, unknown> } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return { structured: value as Record<string, unknown> };
    }
  } catch {
    // Not JSON: the text alone is the result.
  }
  return undefined;
}
