/** Plain HTTP, a connection for each request: none is left open, and what was lost with one is known. */
import { request } from 'node:http';

/** What came back. */
export interface Answered {
  readonly status: number;
  readonly text: string;
}

/** Resolves with the whole answer; rejects when the connection was lost before. */
export function ask(
  method: string,
  url: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const asked = request(
      url,
      {
        method,
        agent: false,
        headers: {
          connection: 'close',
          accept: 'application/json, text/event-stream',
          ...(json !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(json),
          }),
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.once('error', reject).once('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.once('close', () =>
          reject(new Error('The connection was lost in the middle of the answer.')),
        );
      },
    );
    asked.once('error', reject).end(json);
  });
}
