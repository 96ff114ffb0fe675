/**
 * Further listeners that serve only what agents need (MCP), for agents that cannot reach the server's own address: a
 * container cannot dial the loopback of its host. Implementation: src/http/agent-doors.ts.
 */
export interface AgentDoors {
  /**
   * Listens at an address of this machine, or at a Unix socket (mode 0666: whoever reaches its folder may dial it).
   * `port`: that one and no other, because agents were told of it; by default the server's own where it is free.
   * Rejects when the address is not this machine's, or the port is taken.
   */
  open(at: DoorPlace): Promise<AgentDoor>;
}

/** Where a door is. */
export type DoorPlace = { readonly host: string; readonly port?: number } | { readonly socket: string };

/** A listener that is open. */
export interface AgentDoor {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Stops listening and ends what is open. Never rejects. */
  close(): Promise<void>;
}
