/**
 * What a command is about, so that commands of one session that have nothing to do with each other can be decided on
 * the same state and written down together.
 */
import type { Command } from './command.ts';

/**
 * Everything that deciding a command looks at and its facts change, beyond what no command of this list changes: the
 * agent it is of, the thread it is about. Undefined: the whole session. Of two commands without anything in common the
 * second is decided as if the first were still to come.
 */
export function concerns(command: Command): readonly string[] | undefined {
  switch (command.type) {
    case 'begin_launch':
    case 'report_started':
    case 'report_exit':
    case 'report_observed':
    case 'report_container':
    case 'stop_agent':
    case 'connect':
    case 'disconnect':
    case 'start_wait':
    case 'end_wait':
      return [`agent/${command.agent}`];
    case 'create_thread':
    case 'close_thread':
    case 'add_participant':
    case 'remove_participant':
      return [`thread/${command.threadId}`];
    case 'send_message':
      // Its idempotency key is looked up among all that its sender sent.
      return [`thread/${command.threadId}`, `sender/${command.by}`];
    case 'read_state': // looks at what every thread brought its agent
    case 'execute':
    case 'stop_session':
    case 'end_hold':
    case 'look':
    case 'recover':
    case 'change_ttl':
    case 'add_agent':
    case 'dismiss_agent':
      return undefined;
  }
}
