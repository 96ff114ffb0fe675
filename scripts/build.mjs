// Bundles our code and the packages it uses into dist/: the program, the two libraries and the agents that are
// written in TypeScript. Declarations come from `tsc -p tsconfig.types.json`.
// `--into FOLDER` makes dist/ there; `--replace FILE=OTHER` puts another module in the place of one of ours: tests do.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { bundling } from './bundling.mjs';

const root = new URL('..', import.meta.url).pathname;
const { into, replace } = parseArgs({
  options: {
    into: { type: 'string', default: root },
    replace: { type: 'string', multiple: true, default: [] },
  },
}).values;
const dist = join(into, 'dist');

const entryPoints = {
  ...agentEntries(),
  main: join(root, 'src/main.ts'),
  keeper: join(root, 'src/keeper.ts'),
  agent: join(root, 'src/client/agent/index.ts'),
  client: join(root, 'src/client/index.ts'),
};

// Made beside dist/ and moved in file by file, so that whoever runs from there meanwhile finds everything.
const fresh = join(into, `.build-${process.pid}`);
try {
  await build({
    ...bundling,
    absWorkingDir: root,
    entryPoints,
    outdir: fresh,
    alias: { ...bundling.alias, 'coral/agent': entryPoints.agent, 'coral/client': entryPoints.client },
    sourcemap: true,
    plugins: [...bundling.plugins, ...replace.map(replacement)],
  });
  chmodSync(join(fresh, 'main.js'), 0o755);
  const made = filesBelow(fresh);
  // Chunks first: an entry never stands beside chunks that are not there yet.
  for (const file of made.sort((a, b) => Number(b.startsWith('chunks')) - Number(a.startsWith('chunks')))) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    renameSync(join(fresh, file), join(dist, file));
  }
  // The declarations in dist/types are somebody else's; of everything else nothing stale stays.
  for (const file of filesBelow(dist)) {
    if (!file.startsWith('types') && !made.includes(file)) rmSync(join(dist, file), { force: true });
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/** Every agents/NAME/main.ts becomes dist/agents/NAME.js; agents/debug/*.ts become dist/agents/debug/*.js. */
function agentEntries() {
  const agents = join(root, 'agents');
  const debug = join(agents, 'debug');
  const mains = readdirSync(agents)
    .map((name) => [`agents/${name}`, join(agents, name, 'main.ts')])
    .filter(([, main]) => existsSync(main));
  const debugging = readdirSync(debug)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [`agents/debug/${file.slice(0, -3)}`, join(debug, file)]);
  return Object.fromEntries([...mains, ...debugging]);
}

/** Every import of a file (a path from the root) leads to the other one. */
function replacement(text) {
  const [file, other] = text.split('=').map((path) => resolve(root, path));
  return {
    name: `replace ${file}`,
    setup({ onResolve }) {
      const filter = new RegExp(`/${basename(file).replaceAll('.', '\\.')}$`);
      onResolve({ filter }, ({ path, resolveDir }) =>
        resolve(resolveDir, path) === file ? { path: other } : undefined,
      );
    },
  };
}

/** Paths of all files below a folder, relative to it. */
function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
