/** The REST API of a running server, as an application calls it. */
import type { z } from 'zod';
import { SessionIdentifier, SessionStateExtended } from '../../src/domain/wire/session.ts';

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** One agent of a session request: of version 1.0.0 of a local definition. */
export function agentOf(definition: string, runtime: string, more: object = {}): object {
  return {
    id: { name: definition, version: '1.0.0', registrySourceId: { type: 'local' } },
    name: definition,
    provider: { type: 'local', runtime },
    ...more,
  };
}

/** Calls with one key. */
export class Api {
  constructor(
    readonly url: string,
    readonly key: string,
  ) {}

  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  /** The body of a 200, checked. Throws on any other status. */
  async expect<T extends z.ZodType>(
    schema: T,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<z.output<T>> {
    const { status, text } = await this.ask(method, path, body);
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${text}`);
    return schema.parse(text === '' ? undefined : JSON.parse(text));
  }

  get<T extends z.ZodType>(schema: T, path: string): Promise<z.output<T>> {
    return this.expect(schema, 'GET', path);
  }

  /** Opens a session of these agents, all in one group, in the namespace `test`; its id. */
  async open(agents: readonly object[], settings: object = {}, graph: object = {}): Promise<string> {
    const groups = [agents.map((agent) => (agent as { name: string }).name)];
    const { sessionId } = await this.expect(SessionIdentifier, 'POST', '/api/v1/local/session', {
      agentGraphRequest: { agents, groups, ...graph },
      namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'test' } },
      execution: { mode: 'immediate', runtimeSettings: settings },
    });
    return sessionId;
  }

  /** A session of `test` as the archive tells it, live or closed. */
  async session(id: string): Promise<z.output<typeof SessionStateExtended>> {
    return this.get(SessionStateExtended, `/api/v1/archive/session/test/${id}`);
  }

  /** Asks for a session until it is as wanted. */
  async until(
    id: string,
    holds: (session: z.output<typeof SessionStateExtended>) => boolean,
  ): Promise<z.output<typeof SessionStateExtended>> {
    for (;;) {
      const session = await this.session(id);
      if (holds(session)) return session;
    }
  }
}
