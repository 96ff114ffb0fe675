/** What can be asked of a session. Times, ids and secrets come in as values; `decide.ts` answers with facts. */
import type { JournalledHandle, SessionEndCause, WaitFilter } from './event.ts';
import type { Ending, StopCause } from './exit.ts';
import type { AgentPlan } from './graph.ts';
import type { SessionRuntimeSettings } from './wire/request.ts';

/** One thing asked of a session; `by` and `agent` are names in its graph. */
export type Command =
  // the session
  | { readonly type: 'execute'; readonly settings: SessionRuntimeSettings }
  | {
      readonly type: 'stop_session';
      readonly cause: SessionEndCause;
      readonly by?: string;
      readonly reason?: string;
      /** Present, even as null: the session's outcome. */
      readonly result?: unknown;
    }
  | { readonly type: 'end_hold' }
  /** The clock is looked at; what is due becomes a fact. */
  | { readonly type: 'look' }
  /**
   * The server that ran this session is gone and another goes on with it. `port`: where agents reach it; agents that
   * know another one are lost. Undefined: agents are let be wherever they look for the server.
   */
  | {
      readonly type: 'recover';
      readonly port?: number;
      readonly jitter: number;
    }
  /** ms from execution; undefined: none. */
  | { readonly type: 'change_ttl'; readonly ttl: number | undefined }
  | {
      readonly type: 'add_agent';
      readonly plan: AgentPlan;
      readonly groups: readonly (readonly string[])[];
    }
  | { readonly type: 'dismiss_agent'; readonly agent: string }
  // reports from the world, and about what is begun there
  | {
      readonly type: 'begin_launch';
      readonly agent: string;
      readonly attempt: number;
      readonly secretDigest: string;
      /** The server's port as the agent is told, where it is lost when that changes. */
      readonly port?: number;
    }
  | {
      readonly type: 'report_started';
      readonly agent: string;
      readonly attempt: number;
      readonly handle: JournalledHandle;
    }
  | {
      readonly type: 'report_exit';
      readonly agent: string;
      readonly attempt: number;
      readonly ending: Ending;
      readonly jitter: number;
    }
  | {
      readonly type: 'report_observed';
      readonly agent: string;
      readonly attempt: number;
      readonly seen: boolean;
    }
  | {
      readonly type: 'report_container';
      readonly agent: string;
      readonly attempt: number;
      readonly fact: 'docker_container_created' | 'docker_container_removed';
      readonly containerId: string;
    }
  | { readonly type: 'stop_agent'; readonly agent: string; readonly cause: StopCause }
  // an agent's connection and waits
  | { readonly type: 'connect'; readonly agent: string }
  | { readonly type: 'disconnect'; readonly agent: string }
  | {
      readonly type: 'start_wait';
      readonly agent: string;
      readonly waitId: string;
      readonly filters: readonly WaitFilter[];
    }
  | {
      readonly type: 'end_wait';
      readonly agent: string;
      readonly waitId: string;
      readonly filters: readonly WaitFilter[];
      readonly outcome: 'message' | 'timeout' | 'client_gone' | 'session_ended';
      /** With outcome `message`. */
      readonly ordinal?: number;
    }
  | { readonly type: 'read_state'; readonly agent: string; readonly upTo: number }
  // threads
  | {
      readonly type: 'create_thread';
      readonly by: string;
      readonly threadId: string;
      readonly name: string;
      readonly participants: readonly string[];
    }
  | {
      readonly type: 'close_thread';
      readonly by: string;
      readonly threadId: string;
      readonly summary: string;
    }
  | {
      readonly type: 'add_participant';
      readonly by: string;
      readonly threadId: string;
      readonly name: string;
    }
  | {
      readonly type: 'remove_participant';
      readonly by: string;
      readonly threadId: string;
      readonly name: string;
    }
  | {
      readonly type: 'send_message';
      readonly by: string;
      readonly threadId: string;
      readonly messageId: string;
      readonly text: string;
      readonly mentions: readonly string[];
      readonly key?: string;
    };
