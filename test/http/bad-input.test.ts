/** Every route of the description, asked wrongly in every way: always 4xx, always a sentence, never a crash. */
import { readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ErrorBody } from '../../src/domain/wire/session.ts';
import { KEY, openDoor, type Answer, type Door } from './door.ts';
import { runs } from '../support/runs.ts';

type Json = Record<string, unknown>;
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Schema;
}
interface Operation {
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Readonly<Record<string, { schema: Schema }>>;
  };
}
interface Route {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

const LIMIT = 64 * 1024;
let door: Door;
let schemas: Readonly<Record<string, Schema>> = {};
const routes: Route[] = [];

beforeAll(async () => {
  door = await openDoor({ config: { bodyLimit: LIMIT, failedLogins: 0 } });
  const document = JSON.parse((await door.send('GET', '/api_v1.json')).text) as {
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, Schema> };
  };
  ({ schemas } = document.components);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [verb, operation] of Object.entries(methods)) {
      const method = verb.toUpperCase();
      routes.push({ name: `${method} ${path}`, method, path, operation });
    }
  }
});
afterAll(() => door.close());

const key = { authorization: `Bearer ${KEY}` };
const needsKey = ({ operation, path }: Route): boolean =>
  operation.security?.length !== 0 && path !== '/metrics';
const bodyOf = ({ operation }: Route): Schema | undefined =>
  Object.values(operation.requestBody?.content ?? {})[0]?.schema;
const isForm = ({ operation }: Route): boolean =>
  operation.requestBody?.content['application/json'] === undefined;
/** With an id in every place of the path that is the id of nothing. */
const nowhere = ({ path }: Route): string => path.replace(/\{\w+\}/g, 'none');

function refused(answer: Answer, route: Route, ...statuses: readonly number[]): void {
  expect(statuses, `${route.name}: ${answer.text.slice(0, 300)}`).toContain(answer.status);
  const { message, code } = ErrorBody.parse(JSON.parse(answer.text));
  expect(message.split(' ').length, route.name).toBeGreaterThan(3);
  expect(message, `${route.name}: a capital letter or a name, and a full stop`).toMatch(
    /^[\p{Lu}"“`].*\.$/su,
  );
  expect(code, route.name).toMatch(/^[a-z]+(_[a-z]+)*$/);
}

describe('every route', () => {
  it('without a key, or with a wrong one, is 401', async () => {
    for (const route of routes.filter(needsKey)) {
      for (const headers of [
        {},
        { authorization: 'Bearer wrong' },
        { authorization: KEY },
        { cookie: 'authSessionToken=x' },
      ] as Record<string, string>[])
        refused(await door.send(route.method, nowhere(route), bodyOf(route) && {}, headers), route, 401);
    }
  });

  it('asked with a method it does not take is 405, and says which it takes', async () => {
    const taken = new Map<string, Set<string>>();
    for (const { path, method } of routes) taken.set(path, (taken.get(path) ?? new Set()).add(method));
    for (const route of routes) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const others = [...taken].filter(([path]) => matches(path, nowhere(route)));
        if (others.some(([, methods]) => methods.has(method))) continue;
        const answer = await door.send(method, nowhere(route), undefined, key);
        refused(answer, route, 405);
        expect(String(answer.headers['allow']), route.name).toContain(route.method);
      }
    }
  });

  it('with a body that is no JSON, or no object, is 400', async () => {
    for (const route of routes.filter((one) => bodyOf(one) !== undefined)) {
      const bodies = isForm(route)
        ? ['', 'x=1']
        : ['{', '{"a":', 'nonsense', '[1,2', '"\\u12"', '7', '[]', '"text"', 'true', '[[['];
      for (const body of bodies) {
        const type = isForm(route) ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
        refused(await door.send(route.method, nowhere(route), body, { ...key, ...type }), route, 400);
      }
    }
  });

  it('with a value of another type in its body is 400 or knows no such thing', async () => {
    for (const route of routes) {
      const schema = bodyOf(route);
      if (schema === undefined || isForm(route)) continue;
      const { properties = {} } = whole(schema);
      for (const [name, part] of Object.entries(properties)) {
        for (const value of wrongFor(part))
          refused(await door.send(route.method, nowhere(route), { [name]: value }, key), route, 400, 404);
      }
    }
  });

  it('with a value of another type in its query is 400', async () => {
    for (const route of routes) {
      for (const { name, in: place, schema } of route.operation.parameters ?? []) {
        if (place !== 'query') continue;
        const type = whole(schema);
        if (type.type === 'integer' || type.type === 'number' || type.enum !== undefined) {
          for (const value of ['x', '-7', '1e400', '{}'])
            refused(
              await door.send(route.method, `${nowhere(route)}?${name}=${value}`, undefined, key),
              route,
              400,
            );
        }
      }
    }
  });

  it('about something that is not there is 404', async () => {
    for (const route of routes.filter(({ path }) => path.includes('{'))) {
      const body = bodyOf(route);
      const answer = await door.send(route.method, nowhere(route), body && example(body), key);
      refused(answer, route, 404);
    }
  });

  it('with a body over the limit is 413', async () => {
    for (const route of routes.filter((one) => bodyOf(one) !== undefined)) {
      const body = JSON.stringify({ text: 'x'.repeat(LIMIT) });
      refused(await door.send(route.method, nowhere(route), body, key), route, 413);
    }
  });

  it('with a path that cannot be decoded is 400, and with a very long one no crash', async () => {
    for (const route of routes.filter(({ path }) => path.includes('{'))) {
      const strange = route.path.replace(/\{\w+\}/g, '%zz');
      refused(await door.send(route.method, strange, undefined, key), route, 400);
      const long = route.path.replace(/\{\w+\}/, 'x'.repeat(3_000)).replace(/\{\w+\}/g, 'none');
      expect((await door.send(route.method, long, undefined, key)).status, route.name).toBeLessThan(500);
    }
  });
});

it('a socket asked for without an upgrade says that it is one', async () => {
  for (const path of [
    'logs',
    'logs/k',
    'events/lsm',
    'events/k/lsm',
    'events/session/a/b',
    'events/k/session/a/b',
  ]) {
    const answer = await door.send('GET', `/ws/v1/${path}`, undefined, {});
    expect(answer.refused(426, 'upgrade_required').message).toContain('websocket');
    expect(answer.headers['upgrade']).toBe('websocket');
  }
  (await door.send('GET', '/ws/v1/events/k/sessions/a/b')).refused(404, 'not_found');
});

/** Any route that takes a body, with one that may fit it. */
function asked(): fc.Arbitrary<[Route, unknown]> {
  const takers = routes.filter((route) => bodyOf(route) !== undefined && !isForm(route));
  return fc
    .constantFrom(...takers)
    .chain((route) =>
      fc.tuple(
        fc.constant(route),
        fc.oneof({ weight: 3, arbitrary: like(bodyOf(route) ?? {}, 6) }, fc.jsonValue()),
      ),
    );
}

describe('bodies of any shape', () => {
  it('are never an error of ours', async () => {
    await fc.assert(
      fc.asyncProperty(asked(), async ([route, body]) => {
        const answer = await door.send(route.method, nowhere(route), JSON.stringify(body) ?? 'null', key);
        expect(answer.status, `${route.name} ${answer.text.slice(0, 200)}`).toBeLessThan(500);
      }),
      runs(600),
    );
    expect(door.logged.filter(({ level }) => level === 'error')).toEqual([]);
    expect((await door.send('GET', '/health')).status).toBe(200);
  }, 60_000);

  it('leave nothing: no session, no connection, no file, no memory', async () => {
    const listening = await openDoor({ config: { bodyLimit: LIMIT, failedLogins: 0 } });
    const base = await listening.listen();
    const bodies = fc.sample(asked(), { numRuns: 300, seed: 7 });
    const around = async (): Promise<number> => {
      const agent = new Agent({ keepAlive: true, maxSockets: 2 });
      await Promise.all(
        [0, 1].map(async (half) => {
          for (const [at, [route, body]] of bodies.entries()) {
            if (at % 2 !== half) continue;
            const text = JSON.stringify(body) ?? 'null';
            expect(await status(base + nowhere(route), route.method, text, agent)).toBeLessThan(500);
          }
        }),
      );
      agent.destroy();
      await expect.poll(() => connectionsOf(listening), { timeout: 20_000 }).toBe(0);
      for (const { namespace, sessionId } of listening.world.coral.sessions())
        await listening.send('DELETE', `/api/v1/local/session/${namespace}/${sessionId}`);
      listening.logged.length = 0;
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    // What is compiled and kept for good comes with the first rounds.
    for (let round = 0; round < 3; round += 1) await around();
    const descriptors = openDescriptors();
    const heaps: number[] = [];
    for (let round = 0; round < 6; round += 1) heaps.push(await around());
    expect(openDescriptors()).toBe(descriptors);
    expect(listening.world.coral.sessions()).toEqual([]);
    // Something else may grow in one round or another; what a request leaves grows in each, and a request is kilobytes.
    const growth = heaps.slice(1).map((heap, round) => heap - heaps[round]!);
    expect(Math.min(...growth)).toBeLessThan(bodies.length * 512);
    await listening.close();
  }, 120_000);
});

function status(url: string, method: string, body: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { ...key, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method, headers, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject).end(body);
  });
}

function connectionsOf({ app }: Door): Promise<number> {
  return new Promise((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What the first finds unreachable may hold what only the second takes.
  collect();
  collect();
}

function matches(pattern: string, path: string): boolean {
  return new RegExp(`^${pattern.replace(/\{\w+\}/g, '[^/]+').replace(/\./g, '\\.')}$`).test(path);
}

function whole(schema: Schema): Schema {
  return schema.$ref === undefined ? schema : (schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
}

/** Values that cannot be meant; none where anything can. */
function wrongFor(schema: Schema): unknown[] {
  const { type, oneOf, anyOf, enum: values } = whole(schema);
  if (values !== undefined || type === 'string') return [7, {}, []];
  if (type === 'object' || oneOf !== undefined) return [7, 'x', []];
  if (type === 'array') return [7, 'x', {}];
  if (type === 'boolean') return [7, 'x'];
  if (type === 'integer' || type === 'number') return ['x', {}, []];
  if (anyOf !== undefined && anyOf.every((one) => whole(one).type !== undefined)) return [{ strange: [] }];
  return [];
}

/** The smallest value that fits. */
function example(given: Schema): unknown {
  const schema = whole(given);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const [option] = schema.oneOf ?? schema.anyOf ?? [];
  if (option !== undefined) return example(option);
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map(example));
  switch (schema.type) {
    case 'object': {
      const made: Json = {};
      for (const name of schema.required ?? []) made[name] = example(schema.properties?.[name] ?? {});
      return made;
    }
    case 'array':
      return [];
    case 'integer':
    case 'number':
      return 1;
    case 'boolean':
      return true;
    default:
      return 'none';
  }
}

/** Values that nearly fit: the right shape, with something strange here and there. */
function like(given: Schema, depth: number): fc.Arbitrary<unknown> {
  const schema = whole(given);
  const strange = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom('__proto__', '\u0000', '', -1, 1e308, 2 ** 53),
  );
  if (depth === 0) return strange;
  const options = schema.oneOf ?? schema.anyOf;
  let fitting: fc.Arbitrary<unknown> = strange;
  if (schema.const !== undefined) fitting = fc.constant(schema.const);
  else if (schema.enum !== undefined) fitting = fc.constantFrom(...schema.enum);
  else if (options !== undefined) fitting = fc.oneof(...options.map((one) => like(one, depth - 1)));
  else if (schema.properties !== undefined) {
    const parts = Object.entries(schema.properties).map(
      ([name, part]) => [name, like(part, depth - 1)] as const,
    );
    fitting = fc.record(Object.fromEntries(parts), { requiredKeys: [...(schema.required ?? [])] });
  } else if (schema.type === 'object') {
    const values =
      typeof schema.additionalProperties === 'object'
        ? like(schema.additionalProperties, depth - 1)
        : strange;
    fitting = fc.dictionary(fc.string({ maxLength: 8 }), values, { maxKeys: 3 });
  } else if (schema.type === 'array')
    fitting = fc.array(like(schema.items ?? {}, depth - 1), { maxLength: 3 });
  else if (schema.type === 'string')
    fitting = fc.oneof(fc.constantFrom('worker', 'a', 'local', '1.0.0', 'http://x/'), fc.string());
  else if (schema.type === 'integer') fitting = fc.integer();
  else if (schema.type === 'number') fitting = fc.double({ noNaN: true, noDefaultInfinity: true });
  else if (schema.type === 'boolean') fitting = fc.boolean();
  return fc.oneof({ weight: 12, arbitrary: fitting }, { weight: 1, arbitrary: strange });
}
