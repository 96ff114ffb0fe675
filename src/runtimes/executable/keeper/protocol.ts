/**
 * What a server and its keeper say to each other: one JSON text a line over a Unix socket. The server asks, the keeper
 * answers each question once, under its number, in any order; in between it tells what has happened. Which versions
 * of it go together: versions.ts.
 */
import type { Ending } from '../../../domain/exit.ts';
import type { LaunchSpec } from '../../../domain/launch.ts';
import type { Handle, StopReceipt } from '../../../ports/runtime.ts';
import type { Versions } from './versions.ts';

/** A launch on its way over the wire: bytes of option files as base64. */
export type WireSpec = Omit<LaunchSpec, 'files'> & {
  readonly files: readonly { readonly variable: string; readonly parts: readonly string[] }[];
};

/** What can be asked, by name: the question's arguments and the answer. */
export interface Calls {
  hello: { ask: { readonly instance: string }; answer: Record<string, never> };
  /** `inherited`: what passes from the server's environment; `debug`: the operator's variables. */
  launch: {
    ask: {
      readonly spec: WireSpec;
      readonly inherited: Readonly<Record<string, string>>;
      readonly debug: Readonly<Record<string, string>>;
    };
    answer: { readonly handle: Handle };
  };
  /** Gives up a launch that was asked for under that number; its own answer tells what came of it. */
  abort: { ask: { readonly launch: number }; answer: Record<string, never> };
  /** From now on this connection hears of it. `ending`: it has ended already. */
  watch: { ask: { readonly handle: Handle }; answer: { readonly ending?: Ending } };
  stop: { ask: { readonly handle: Handle; readonly graceMs: number }; answer: StopReceipt };
  list: { ask: Record<string, never>; answer: { readonly handles: readonly Handle[] } };
  /** The server goes and wants nothing more; without agents the keeper goes too. */
  bye: { ask: Record<string, never>; answer: { readonly ends: boolean } };
  /** For measurements. */
  usage: { ask: Record<string, never>; answer: { readonly rss: number; readonly agents: number } };
}

/** The name of a question. */
export type CallName = keyof Calls;

/** A question. */
export type Question = {
  [K in CallName]: { readonly id: number; readonly call: K; readonly ask: Calls[K]['ask'] };
}[CallName];

/** The answer to a question; `launch` in an error: it is a LaunchFailure. */
export type Answer =
  | { readonly id: number; readonly answer: unknown }
  | {
      readonly id: number;
      readonly error: { readonly message: string; readonly launch?: true; readonly retry?: boolean };
    };

/** What the keeper tells unasked. `key` names the folder of the agent (spool.ts). */
export type News =
  | { readonly news: 'grown'; readonly key: string }
  | { readonly news: 'ended'; readonly key: string; readonly ending: Ending };

/** What stands in the keeper's file, for those who look for it: of whatever version they are. */
export interface KeeperFile extends Versions {
  readonly pid: number;
  readonly startTime: string;
  /** Absolute path. */
  readonly socket: string;
}

/** What a keeper is started with, as JSON in its only argument. Nothing secret. */
export interface KeeperArguments {
  /** Its folder; absolute. */
  readonly folder: string;
  readonly instance: string;
  readonly temporaryFolder: string;
  /** Without a server for this long it ends its agents and itself, ms; absent: never while an agent lives. */
  readonly orphanTimeout?: number;
}

/** Names in the keeper's folder. */
export const KEEPER_FILE = 'keeper.json';
export const AGENTS_FOLDER = 'agents';
/** What is being deleted: half an agent's folder must not be taken for one. */
export const GONE_FOLDER = 'gone';
export const LOG_FILE = 'keeper.log';

/** Longest line taken, bytes: a launch with its option files. */
const MAX_LINE = 256 * 1024 * 1024;

/** Cuts what comes over a socket into JSON texts. Throws when one is longer than any that is meant. */
export class JsonLines {
  private parts: Buffer[] = [];
  private held = 0;

  constructor(private readonly take: (message: unknown) => void) {}

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      this.parts.push(chunk.subarray(from, end));
      const line = Buffer.concat(this.parts).toString('utf8');
      this.parts = [];
      this.held = 0;
      from = end + 1;
      this.take(JSON.parse(line));
    }
    if (from === chunk.length) return;
    this.parts.push(chunk.subarray(from));
    this.held += chunk.length - from;
    if (this.held > MAX_LINE) throw new Error('a line that has no end');
  }
}

/** A message as it is written. */
export function line(message: Question | Answer | News): string {
  return `${JSON.stringify(message)}\n`;
}

/** The launch as it is sent. */
export function toWire(spec: LaunchSpec): WireSpec {
  const files = spec.files.map(({ variable, parts }) => ({
    variable,
    parts: parts.map((part) => Buffer.from(part).toString('base64')),
  }));
  return { ...spec, files };
}

/** The launch as it was meant. */
export function fromWire(spec: WireSpec): LaunchSpec {
  const files = spec.files.map(({ variable, parts }) => ({
    variable,
    parts: parts.map((part) => Buffer.from(part, 'base64')),
  }));
  return { ...spec, files };
}
