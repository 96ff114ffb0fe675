/**
 * `coral/agent`: write an agent in TypeScript or JavaScript. The shortest one there is:
 *
 *     import { run } from 'coral/agent';
 *     await run((agent) => agent.onMention(async (message) => `You said: ${message.text}`));
 */
export { connect, run } from './connect.ts';
export type { ConnectOptions } from './connect.ts';
export { Agent } from './agent.ts';
export type { MentionHandler, MentionOptions, Message, Thread, WaitOptions } from './agent.ts';
export { AgentClosed, ConnectionLost, EnvironmentError, ToolError } from './errors.ts';
export { Options } from './options.ts';
export type { ListHow, OptionTypeName, OptionTypes } from './options.ts';
export type { AgentStateView, Peer, ThreadView } from './state-text.ts';
export type { LlmProxy } from './environment.ts';
export type { ToolAnswer } from './connection.ts';
