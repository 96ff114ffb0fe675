/** Outgoing calls over undici: addresses checked at connect time, deadlines, size limits, no redirects. */
import { lookup as dnsLookup } from 'node:dns';
import { isIP } from 'node:net';
import type { Agent, request } from 'undici';
import { OutboundError, type OutboundAnswer, type OutboundRequest, type Sender } from '../ports/outbound.ts';
import { AddressPolicy, type AddressPolicyOptions } from './address-policy.ts';

/** Idle connections are kept this long, ms. */
const KEEP_ALIVE = 10_000;

/** A sender with connections of its own; close it when done. */
export function createSender(options: AddressPolicyOptions): Sender {
  return new HttpSender(new AddressPolicy(options));
}

class RefusedAddress extends Error {}

class HttpSender implements Sender {
  private connections: Promise<Connections> | undefined;

  constructor(private readonly policy: AddressPolicy) {}

  async post(given: OutboundRequest): Promise<OutboundAnswer> {
    const url = new URL(given.url);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // A literal address is not looked up, so it is checked here.
    if (isIP(host) !== 0 && !this.policy.permits(host, host)) {
      throw new OutboundError('refused_address', refusal(host));
    }
    const deadline = AbortSignal.timeout(given.timeoutMs);
    const signal = given.signal === undefined ? deadline : AbortSignal.any([deadline, given.signal]);
    try {
      const { request: send, agent } = await (this.connections ??= connectionsFor(this.policy));
      const answer = await send(url, {
        method: 'POST',
        dispatcher: agent,
        signal,
        headers: { 'content-type': 'application/json', 'user-agent': 'coral', ...given.headers },
        body: given.body,
      });
      return { status: answer.statusCode, body: await read(answer.body, given.maxAnswerBytes, url.host) };
    } catch (error) {
      if (error instanceof OutboundError) throw error;
      if (given.signal?.aborted === true)
        throw new OutboundError('aborted', 'The call was given up.', { cause: error });
      if (deadline.aborted) {
        throw new OutboundError('timeout', `${url.host} did not answer within ${given.timeoutMs} ms.`, {
          cause: error,
        });
      }
      if (causesOf(error).some((cause) => cause instanceof RefusedAddress))
        throw new OutboundError('refused_address', refusal(host), { cause: error });
      throw new OutboundError('unreachable', `${url.host} cannot be reached (${codeOf(error)}).`, {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await (await this.connections)?.agent.destroy();
  }
}

interface Connections {
  readonly request: typeof request;
  readonly agent: Agent;
}

/** Made with the first call: few servers ever make one, and undici takes a tenth of a start. */
async function connectionsFor(policy: AddressPolicy): Promise<Connections> {
  // Not by name: bundled, a package that is no ES module has nothing but its default.
  const { Agent: Connector, request: send } = (await import('undici')).default;
  const agent = new Connector({
    keepAliveTimeout: KEEP_ALIVE,
    connect: {
      // undici resolves through this and connects to what it answers: nothing can change in between.
      lookup: (host, lookupOptions, done) => {
        dnsLookup(host, { ...lookupOptions, all: true }, (error, addresses) => {
          if (error !== null) return done(error, []);
          const permitted = addresses.filter(({ address }) => policy.permits(host, address));
          if (permitted.length === 0) return done(new RefusedAddress(refusal(host)), []);
          const [first] = permitted;
          if (lookupOptions.all === true) return done(null, permitted);
          return done(null, first?.address ?? '', first?.family);
        });
      },
    },
  });
  return { request: send, agent };
}

async function read(body: AsyncIterable<Buffer>, max: number, host: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > max) throw new OutboundError('too_large', `${host} answered with more than ${max} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusal(host: string): string {
  return `${host} is at a private, loopback or otherwise special address; if the server may call it, its operator adds it to network.outboundAllow.`;
}

/** An error and what caused it, outermost first. */
function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}

function codeOf(error: unknown): string {
  const codes = causesOf(error).map((cause) =>
    'code' in cause && typeof cause.code === 'string' ? cause.code : undefined,
  );
  return codes.find((code) => code !== undefined) ?? 'unknown cause';
}
