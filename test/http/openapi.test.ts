/** The API's description: complete, valid, and changed only on purpose. */
import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Webhooks } from '../../src/domain/wire/request.ts';
import { readSocketPath, SOCKETS } from '../../src/http/socket-paths.ts';
import { openDoor, type Door } from './door.ts';

let door: Door;
beforeEach(async () => {
  door = await openDoor();
});
afterEach(() => door.close());

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: object;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Record<string, unknown>>>>>;
  readonly webhooks: Readonly<Record<string, unknown>>;
  readonly 'x-websockets': Readonly<
    Record<string, { readonly withCookie: string; readonly parameters: readonly Parameter[] }>
  >;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}
const read = async (): Promise<Document> =>
  JSON.parse((await door.send('GET', '/api_v1.json', undefined, {})).text);

it('is valid OpenAPI 3.1 and needs no key', async () => {
  const document = await read();
  expect(document.openapi).toBe('3.1.0');
  const { valid, errors } = await new Validator().validate(document as never);
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

it('refers to nothing that is not there, and names every type once', async () => {
  const document = await read();
  const text = JSON.stringify(document);
  const names = Object.keys(document.components.schemas);
  for (const [, name = ''] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
    expect(names).toContain(name);
  expect(text).not.toContain('inline-');
  for (const [, name = ''] of text.matchAll(/"\$ref":"([^"]+)"/g))
    expect(name).toMatch(/^#\/components\/schemas\//);
});

it('says of every union which value means which shape', async () => {
  const document = await read();
  const { schemas } = document.components;
  let unions = 0;
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { oneOf, discriminator } = value as {
      oneOf?: { $ref: string }[];
      discriminator?: { propertyName: string; mapping: Record<string, string> };
    };
    if (Array.isArray(oneOf)) {
      unions += 1;
      const { propertyName, mapping } = discriminator!;
      expect(Object.values(mapping)).toEqual(oneOf.map(({ $ref }) => $ref));
      for (const [meaning, $ref] of Object.entries(mapping)) {
        const shape = schemas[$ref.split('/').at(-1)!] as { properties: Record<string, { const: string }> };
        expect(shape.properties[propertyName]!.const).toBe(meaning);
      }
    }
    Object.values(value).forEach(look);
  };
  look(document);
  expect(unions).toBeGreaterThan(15);
});

it('has every route that the server has, and no other', async () => {
  const registered = new Set<string>();
  // HEAD goes with every GET; OpenAPI readers know.
  door.app.addHook('onRoute', ({ method, url }) => {
    for (const verb of [method].flat()) if (verb !== 'HEAD') registered.add(`${verb.toLowerCase()} ${url}`);
  });
  const { paths } = await read();
  // What was registered before the hook could hear of it would be missing from the first list.
  const verbs = door.app.printRoutes({ commonPrefix: false }).match(/\((?:[A-Z]+(?:, )?)+\)/g) ?? [];
  expect(verbs.flatMap((list) => list.match(/[A-Z]+/g)).filter((verb) => verb !== 'HEAD')).toHaveLength(
    registered.size,
  );
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  expect(described.toSorted()).toEqual([...registered].toSorted());
  const ids = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
});

it('has every socket, with a key in its path and without, and what may be asked of it', async () => {
  const described = (await read())['x-websockets'];
  expect(Object.keys(described)).toEqual(Object.values(SOCKETS).map(({ path }) => path));
  for (const [path, { withCookie, parameters }] of Object.entries(described)) {
    for (const each of [path, withCookie]) {
      const answer = await door.send('GET', each.replace(/[{}]/g, ''));
      answer.refused(426, 'upgrade_required');
    }
    const { kind } = readSocketPath(path) ?? {};
    const of = (place: string): Parameter[] => parameters.filter((one) => one.in === place);
    expect(of('path').map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g));
    const names = Object.keys(SOCKETS[kind!].query.shape);
    expect(of('query').map(({ name }) => name)).toEqual(names);
    for (const { schema, description } of of('query')) {
      expect(schema).toMatchObject({ type: expect.any(String) });
      expect(description).toEqual(expect.any(String));
    }
  }
});

it('says of every stream what its events are and how it is resumed', async () => {
  const { paths } = await read();
  const streams = Object.entries(paths).flatMap(([path, { get }]) => {
    const { responses, parameters } = (get ?? {}) as {
      responses?: Record<string, { content?: Record<string, { 'x-event-data'?: { $ref: string } }> }>;
      parameters?: Parameter[];
    };
    const content = responses?.['200']?.content?.['text/event-stream'];
    return content === undefined ? [] : [{ path, data: content['x-event-data']?.$ref, parameters }];
  });
  expect(streams.map(({ path, data }) => [path, data?.split('/').at(-1)])).toEqual([
    ['/api/v1/local/session/{namespace}/{sessionId}/events', 'SessionEvent'],
    ['/api/v1/local/session/{namespace}/{sessionId}/logs', 'LogEvent'],
    ['/api/v1/local/events', 'ManagerEvent'],
  ]);
  for (const { parameters } of streams) {
    const names = parameters?.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['after', 'last-event-id']));
  }
});

it('has every webhook that a session can ask for, and the calls of custom tools', async () => {
  expect(Object.keys((await read()).webhooks)).toEqual([...Object.keys(Webhooks.shape), 'customTool']);
});

it('says the same as before', async () => {
  await expect(`${JSON.stringify(await read(), null, 1)}\n`).toMatchFileSnapshot('__snapshots__/api_v1.snap');
});

it('is shown by a page that needs nothing from elsewhere', async () => {
  const page = await door.send('GET', '/ui/docs', undefined, {});
  expect(page.status).toBe(200);
  expect(page.headers['content-type']).toContain('text/html');
  expect(page.headers['content-security-policy']).toContain("default-src 'none'");
  expect(page.text).not.toMatch(/(?:src|href)="(?!\/api_v1\.json|#)/);
  expect(page.text).not.toMatch(/https?:\/\//);
  const [, script = ''] = /<script>(.*)<\/script>/s.exec(page.text) ?? [];
  const digest = createHash('sha256').update(script).digest('base64');
  expect(page.headers['content-security-policy']).toContain(`script-src 'sha256-${digest}'`);
  expect(() => new Script(script)).not.toThrow();
});
