/** From the command to a server that answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { interleave, median, ratios, ROOT, type Bench } from './harness.ts';

const ROUNDS = 10;

/** The benchmark. */
export const coldStart: Bench = {
  name: 'cold-start',
  about:
    'Milliseconds from starting `coral serve` (as built, on SQLite, in an empty folder, with the agents that come along) until it says where it listens, against `node -e 0` from start to end. Files are in the cache of the operating system by then. It does not measure a journal to go on with, nor the first request.',
  async run(report) {
    const folder = mkdtempSync(join(tmpdir(), 'coral-bench-'));
    try {
      const results = await interleave(ROUNDS, {
        ours: () => serve(folder),
        bare: bareNode,
      });
      const [ours, bare] = [results['ours'] ?? [], results['bare'] ?? []];
      const row = {
        value: median(ours),
        unit: 'ms',
        low: Math.min(...ours),
        high: Math.max(...ours),
        baseline: median(bare),
        ratio: ratios(ours, bare),
      };
      report({ ...row, name: 'coral serve to ready, to node -e 0', bar: { of: 'ratio', atMost: 10 } });
      report({ ...row, name: 'coral serve to ready', bar: { of: 'value', atMost: 500 } });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function serve(folder: string): Promise<number> {
  rmSync(join(folder, '.coral'), { recursive: true, force: true });
  const began = performance.now();
  const server = spawn(
    process.execPath,
    [join(ROOT, 'dist', 'main.js'), 'serve', '--network.bind-port=0', '--json'],
    { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  await Promise.race([once(server.stdout, 'data'), failed(once(server, 'exit'))]);
  const took = performance.now() - began;
  const over = once(server, 'exit');
  server.kill('SIGTERM');
  await over;
  return took;
}

async function failed(exit: Promise<unknown>): Promise<never> {
  await exit;
  throw new Error('coral serve ended before it listened; start it by hand to see why.');
}

async function bareNode(): Promise<number> {
  const began = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - began;
}
