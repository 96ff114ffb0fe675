/**
 * Preload (`node --import`) that lets the MCP conformance suite start on Node 20: it names `globSync` of `node:fs`,
 * which came with Node 22, for a command we don't use. Everything else of it runs as it is.
 */
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) register(import.meta.url);

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.endsWith('/conformance/dist/index.js')) return loaded;
  const source = String(loaded.source).replace(
    /\bglobSync as (\w+),(.*?)\bfrom"fs";/s,
    (_all, name, rest) => {
      return `${rest}from"fs";const ${name}=()=>[];`;
    },
  );
  return { ...loaded, source };
}
