/** The names of session events. What they look like: event.ts. Source: docs/wire.md, "Events". */

/** Those that every client may see. */
export const LISTED_TYPES = [
  'runtime_started',
  'runtime_stopped',
  'agent_connected',
  'agent_wait_start',
  'agent_wait_stop',
  'agent_sleep_start',
  'agent_sleep_stop',
  'thread_created',
  'thread_participant_added',
  'thread_participant_removed',
  'thread_closed',
  'thread_message_sent',
  'docker_container_created',
  'docker_container_removed',
] as const;

/** Those that are sent only where they were asked for. */
export const MORE_TYPES = [
  'session_opened',
  'session_executed',
  'session_stopping',
  'session_ended',
  'session_closed',
  'ttl_changed',
  'agent_added',
  'agent_dismissed',
  'agent_launching',
  'agent_disconnected',
  'agent_stopping',
  'agent_retry_due',
  'agent_given_up',
  'agent_observed',
  'wait_ended',
  'state_read',
] as const;

/** Of Coral Server; clients may ask for it, and this version never has any. */
export const NEVER_SENT = ['llm_proxy_call'] as const;
