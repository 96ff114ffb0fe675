/**
 * Discriminated unions as generators of clients want them: every shape a schema of its own with a name, and a
 * `discriminator` that says which value means which. Names are made of the union's and the value's, and never change
 * while those do not.
 */

type Json = Readonly<Record<string, unknown>>;

/** The schemas with their unions taken apart; `schemas` by name, `discriminator.propertyName` on every union. */
export function nameShapes(schemas: Readonly<Record<string, Json>>): Record<string, Json> {
  const named: Record<string, Json> = {};
  /** Shapes that were named already, by what they say: two unions may share some. */
  const known = new Map<string, string>();

  const shape = (name: string, given: Json): string => {
    const schema = walked(name, given) as Json;
    const text = JSON.stringify(schema);
    const same = known.get(text);
    if (same !== undefined) return same;
    known.set(text, name);
    named[name] = schema;
    return name;
  };

  const union = (name: string, schema: Json, propertyName: string): Json => {
    const mapping: Record<string, string> = {};
    const oneOf = (schema['oneOf'] as readonly Json[]).map((option) => {
      const value = valueOf(option, propertyName);
      const $ref = `#/components/schemas/${shape(name + pascal(value), option)}`;
      mapping[value] = $ref;
      return { $ref };
    });
    return { ...schema, oneOf, discriminator: { propertyName, mapping } };
  };

  /** `name`: what a union found here is called, of the place where it stands. */
  const walked = (name: string, value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((one) => walked(name, one));
    if (typeof value !== 'object' || value === null) return value;
    const schema = value as Json;
    const { propertyName } = (schema['discriminator'] ?? {}) as { propertyName?: string };
    if (propertyName !== undefined) return union(name, schema, propertyName);
    return Object.fromEntries(
      Object.entries(schema).map(([key, part]) => [
        key,
        key === 'properties' ? properties(name, part as Json) : walked(name, part),
      ]),
    );
  };

  const properties = (name: string, parts: Json): Json =>
    Object.fromEntries(Object.entries(parts).map(([key, part]) => [key, walked(name + pascal(key), part)]));

  for (const [name, schema] of Object.entries(schemas)) named[name] = walked(name, schema) as Json;
  return named;
}

function valueOf(option: Json, propertyName: string): string {
  const { const: value } =
    ((option['properties'] ?? {}) as Readonly<Record<string, Json>>)[propertyName] ?? {};
  if (typeof value !== 'string') throw new Error(`A shape of a union without a value of "${propertyName}".`);
  return value;
}

function pascal(text: string): string {
  return (text.match(/[a-z0-9]+/gi) ?? [])
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
