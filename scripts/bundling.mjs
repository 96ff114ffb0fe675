// How everything of ours is bundled, packages and all: a start that finds hundreds of files in node_modules takes
// half as long again (`npm run bench -- cold-start`).

function beside(file) {
  return new URL(file, import.meta.url).pathname;
}

/** Options of esbuild for the program and for what the benchmarks run. */
export const bundling = {
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // Has a native part; is found by its path; is loaded by agents' code too.
  external: ['better-sqlite3', 'tsx', '@modelcontextprotocol/client'],
  // dockerode brings clients for Docker over SSH and for building images, which we do not offer: a fifth of the code.
  alias: {
    ssh2: beside('no-ssh.mjs'),
    '@grpc/grpc-js': beside('no-buildkit.mjs'),
    '@grpc/proto-loader': beside('no-buildkit.mjs'),
    protobufjs: beside('no-buildkit.mjs'),
  },
  plugins: [englishOnly()],
  // What is read at every start is short; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  // Packages that are CommonJS ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
  chunkNames: 'chunks/[name]-[hash]',
  logLevel: 'warning',
};

/** Of the languages in which zod speaks, only ours. */
function englishOnly() {
  return {
    name: 'english only',
    setup({ onLoad }) {
      onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
        contents: "export { default as en } from './en.js';",
      }));
    },
  };
}
