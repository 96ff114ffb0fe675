/** Requests to the server's API with nothing but `fetch`. */
import { CoralError } from './errors.ts';
import type { CoralIssue } from './errors.ts';

/** Parameters of a query; undefined ones are left out, lists are repeated. */
export interface Query {
  readonly [name: string]: string | number | boolean | readonly string[] | undefined;
}

/** What goes with a request. */
export interface RequestOptions {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** One server and one key. */
export class Http {
  readonly #base: string;
  readonly #key: string | undefined;
  readonly #fetch: typeof fetch;

  constructor(url: string, key: string | undefined, fetcher: typeof fetch) {
    this.#base = url.replace(/\/+$/, '');
    this.#key = key;
    this.#fetch = fetcher;
  }

  /** The answer once its head is there and good; rejects with CoralError, or with the signal's reason. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const response = await this.fetch(method, path, options);
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  /** The answer whatever its status is. */
  async fetch(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { body, signal } = options;
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers };
    if (this.#key !== undefined) headers['authorization'] = `Bearer ${this.#key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    try {
      return await this.#fetch(`${this.#base}${path}${queryOf(options.query)}`, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body, plainNumbers) }),
        ...(signal !== undefined && { signal }),
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw unreachable(this.#base, error);
    }
  }

  async json<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
    const response = await this.request(method, path, options);
    try {
      return (await response.json()) as T;
    } catch (error) {
      if (options?.signal?.aborted === true) throw error;
      if (error instanceof SyntaxError) {
        throw new CoralError(response.status, 'unknown', `${this.#base} did not answer with JSON.`, [], {
          cause: error,
        });
      }
      throw unreachable(this.#base, error);
    }
  }

  /** For answers without a body. */
  async done(method: string, path: string, options?: RequestOptions): Promise<void> {
    const response = await this.request(method, path, options);
    await response.body?.cancel();
  }
}

/** The error for a request that got no answer. */
export function unreachable(url: string, cause: unknown): CoralError {
  return new CoralError(0, 'unreachable', `The server at ${url} cannot be reached: ${reasonOf(cause)}`, [], {
    cause,
  });
}

/** The error that a bad answer tells of. */
export async function errorOf(response: Response): Promise<CoralError> {
  const text = await response.text().catch(() => '');
  const body = parsed(text);
  const message = typeof body['message'] === 'string' ? body['message'] : undefined;
  return new CoralError(
    response.status,
    typeof body['code'] === 'string' ? body['code'] : 'unknown',
    message ?? `The server answered ${response.status}${response.statusText && ` ${response.statusText}`}.`,
    Array.isArray(body['issues']) ? (body['issues'] as CoralIssue[]) : [],
  );
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** 64-bit option values may be given as bigint: they travel as decimal strings. */
function plainNumbers(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function queryOf(query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const one of value) parameters.append(name, one);
    else parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message : cause.message;
}
