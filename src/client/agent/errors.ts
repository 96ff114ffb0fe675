/** What can go wrong for an agent, each a class of its own so that it can be told apart. */

/** A Coral tool answered with an error: the message is the server's sentence. */
export class ToolError extends Error {
  constructor(
    /** The tool's name. */
    readonly tool: string,
    message: string,
  ) {
    super(message);
    this.name = 'ToolError';
  }
}

/**
 * The agent is no longer part of its session: closed by itself (`closed`), asked to stop (`stopped`), or its secret
 * is not or no longer valid (`revoked`): then the process should exit at once (docs/wire.md, "MCP endpoints").
 */
export class AgentClosed extends Error {
  constructor(
    readonly reason: 'closed' | 'stopped' | 'revoked',
    message: string,
  ) {
    super(message);
    this.name = 'AgentClosed';
  }
}

/**
 * The server could not be reached for longer than the agent is willing to wait, or the connection broke during a
 * call of which nobody can say whether it had its effect (`uncertain`).
 */
export class ConnectionLost extends Error {
  constructor(
    message: string,
    readonly uncertain: boolean,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'ConnectionLost';
  }
}

/** Something that the environment should say is missing or does not fit. */
export class EnvironmentError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EnvironmentError';
  }
}
