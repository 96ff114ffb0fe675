/** Every route says what it is for, what it takes and what it answers: the API's document is made of that. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { RouteOptions } from 'fastify';
import { openDoor } from './door.ts';
import { unknownKeys } from '../../src/http/validation.ts';
import { SessionRequest } from '../../src/domain/wire/request.ts';

async function routes(): Promise<RouteOptions[]> {
  const found: RouteOptions[] = [];
  const door = await openDoor();
  door.app.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD') found.push(route);
  });
  await door.app.ready();
  await door.close();
  return found;
}

it('every route has a tag, a summary, and the answers 200 and, with a key, 401', async () => {
  const found = await routes();
  expect(found.length).toBeGreaterThan(20);
  for (const { method, url, schema, config } of found) {
    const route = `${String(method)} ${url}`;
    expect(schema, route).toMatchObject({
      tags: [expect.any(String)],
      summary: expect.any(String),
      response: expect.any(Object),
    });
    const answers = Object.keys(schema?.response ?? {});
    expect(
      answers.some((status) => status === '200' || status === '302'),
      route,
    ).toBe(true);
    if ((config as { public?: boolean } | undefined)?.public !== true)
      expect(answers, route).toContain('401');
  }
});

it('every schema can be written as JSON Schema', async () => {
  for (const { url, schema } of await routes()) {
    const document = { openapiObject: { openapi: '3.1.0' } };
    const transformed = jsonSchemaTransform({
      schema: schema ?? {},
      url,
      ...document,
    } as unknown as Parameters<typeof jsonSchemaTransform>[0]);
    expect(transformed.schema, url).toHaveProperty('response');
  }
});

it('keys without meaning are found in lists, maps, unions and below defaults', () => {
  const schema = z.object({
    list: z.array(z.object({ a: z.number() })).default([]),
    map: z.record(z.string(), z.object({ a: z.number() })).optional(),
    union: z.discriminatedUnion('type', [
      z.object({ type: z.literal('x'), a: z.number() }),
      z.object({ type: z.literal('y'), b: z.number() }),
    ]),
    open: z.looseObject({}),
    piped: z.object({ old: z.number() }).transform(({ old }) => ({ renamed: old })),
    any: z.unknown(),
  });
  const value = {
    list: [{ a: 1 }, { a: 1, b: 2 }],
    map: { 'k.1': { a: 1, c: 2 } },
    union: { type: 'y', b: 1, a: 2 },
    open: { x: 1 },
    piped: { old: 1, renamed: 2 },
    any: { x: 1 },
    top: 1,
  };
  expect(unknownKeys(schema, value)).toEqual(['list[1].b', 'map."k.1".c', 'union.a', 'piped.renamed', 'top']);
});

it('a custom tool may still say "schema", and linked providers keep their keys', () => {
  const request = {
    agentGraphRequest: {
      agents: [],
      customTools: { t: { transport: { type: 'http', url: 'http://x' }, schema: {} } },
    },
    namespaceProvider: { type: 'use_existing', name: 'n' },
  };
  expect(unknownKeys(SessionRequest, request)).toEqual([]);
});
