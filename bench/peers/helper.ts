/** The bare helper: spawns what it is told over node's channel, as an agent is spawned, and says the pid. */
import { spawn } from 'node:child_process';

process.on('message', ({ path, words }: { path: string; words: readonly string[] }) => {
  const child = spawn(path, words, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  process.send?.(child.pid);
});
process.once('disconnect', () => process.exit(0));
