/** What the groups of routes are added to, and what they share. */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Coral } from '../engine/coral.ts';
import type { Log } from '../ports/log.ts';
import type { OpenStreams, SseOptions } from './sse.ts';

/** Fastify with zod as the source of its types. */
export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** A copy of the journal that was made for one reader. */
export interface JournalCopy {
  /** Absolute path. */
  readonly file: string;
  /** It was read, or will not be. */
  remove(): void;
}

/** What the groups of routes share. */
export interface Door {
  readonly coral: Coral;
  /** Answers `${env.X}` in team files. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly streams: OpenStreams;
  readonly log: Log;
  readonly sse: SseOptions;
  /** Throws when there are as many followers as there may be. */
  readonly room: () => void;
  /** Makes a copy of the journal; absent: there is no file to copy. */
  readonly backup?: () => Promise<JournalCopy>;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Needs no key. */
    public?: boolean;
    /** How the body is read. Default: JSON. */
    body?: 'json' | 'session' | 'form';
    /** The body may be left out. */
    optionalBody?: boolean;
  }
}
