/** The API's description: complete, valid, and changed only on purpose. */
import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDoor, type Door } from './door.ts';

let door: Door;
beforeEach(async () => {
  door = await openDoor();
});
afterEach(() => door.close());

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Record<string, unknown>>>>>;
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

it('has every route that the server has', async () => {
  const { paths } = await read();
  const found = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  const ids = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
  for (const route of found) {
    const [method = '', path = ''] = route.split(' ');
    const url = path.replace(/\{(\w+)\}/g, ':$1');
    expect(door.app.hasRoute({ method: method.toUpperCase(), url }), route).toBe(true);
  }
  const lines = door.app.printRoutes({ commonPrefix: false }).split('\n');
  expect(lines.length).toBeGreaterThan(20);
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
