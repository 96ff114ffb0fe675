// How everything of ours is bundled, packages and all: a start that finds hundreds of files in node_modules takes
// half as long again (`npm run bench -- cold-start`).

/** Options of esbuild for the program and for what the benchmarks run. */
export const bundling = {
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // Has a native part; is found by its path; is loaded by agents' code too.
  external: ['better-sqlite3', 'tsx', '@modelcontextprotocol/client'],
  // dockerode brings a client for Docker over SSH, which we do not offer.
  alias: { ssh2: new URL('no-ssh.mjs', import.meta.url).pathname },
  // Packages that are CommonJS ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  chunkNames: 'chunks/[name]-[hash]',
  logLevel: 'warning',
};
