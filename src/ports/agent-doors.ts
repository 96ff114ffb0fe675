/**
 * Further listeners that serve only what agents need (MCP), for agents that cannot reach the server's own address: a
 * container cannot dial the loopback of its host. Implementation: src/http/agent-doors.ts.
 */
export interface AgentDoors {
  /**
   * Listens at an address of this machine, or at a Unix socket (mode 0666: whoever reaches its folder may dial it).
   * Rejects when the address is not this machine's.
   */
  open(at: { readonly host: string } | { readonly socket: string }): Promise<AgentDoor>;
}

/** A listener that is open. */
export interface AgentDoor {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Stops listening and ends what is open. Never rejects. */
  close(): Promise<void>;
}
