// Bundles our own code (packages stay in node_modules) into dist/: the program, the two libraries and the
// agents that are written in TypeScript. Declarations come from `tsc -p tsconfig.types.json`.
import { readdirSync, rmSync, existsSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;

/** Every agents/NAME/main.ts becomes dist/agents/NAME.js; agents/debug/*.ts become dist/agents/debug/*.js. */
function agentEntries() {
  const entries = {};
  const agents = join(root, 'agents');
  if (!existsSync(agents)) return entries;
  for (const name of readdirSync(agents)) {
    const main = join(agents, name, 'main.ts');
    if (existsSync(main)) entries[`agents/${name}`] = main;
  }
  const debug = join(agents, 'debug');
  if (existsSync(debug)) {
    for (const file of readdirSync(debug)) {
      if (file.endsWith('.ts')) entries[`agents/debug/${file.slice(0, -3)}`] = join(debug, file);
    }
  }
  return entries;
}

const optional = {
  main: 'src/main.ts',
  agent: 'src/client/agent/index.ts',
  client: 'src/client/index.ts',
};
const entryPoints = agentEntries();
for (const [name, file] of Object.entries(optional)) {
  if (existsSync(join(root, file))) entryPoints[name] = join(root, file);
}

// The declarations in dist/types are somebody else's; everything else is made anew, so that no stale chunk stays.
if (existsSync(join(root, 'dist'))) {
  for (const name of readdirSync(join(root, 'dist'))) {
    if (name !== 'types') rmSync(join(root, 'dist', name), { recursive: true, force: true });
  }
}

await build({
  absWorkingDir: root,
  entryPoints,
  outdir: join(root, 'dist'),
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  packages: 'external',
  alias: {
    'coral/agent': join(root, 'src/client/agent/index.ts'),
    'coral/client': join(root, 'src/client/index.ts'),
  },
  sourcemap: true,
  chunkNames: 'chunks/[name]-[hash]',
  logLevel: 'warning',
});

if (existsSync(join(root, 'dist/main.js'))) chmodSync(join(root, 'dist/main.js'), 0o755);
