/**
 * `npm run chaos -- --minutes N [--seed S]`: random sessions while the server, its keeper, agents and (an own) Docker are
 * killed and frozen and the disk fills up; in the end the promises of docs/reliability.md are checked. The last line is the
 * verdict; exit code 1 when a promise was broken, with the evidence kept.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Engine } from '../../../src/runtimes/docker/engine.ts';
import { Project } from '../../support/coral-process.ts';
import { busyboxImage } from '../../support/docker-images.ts';
import { OwnEngine } from '../../support/dockerd.ts';
import { hasOwnNetwork, runInOwnNetwork } from '../../support/own-network.ts';
import { Receiver } from '../../support/receiver.ts';
import { violations } from '../checker.ts';
import type { History } from '../history.ts';
import { processesOf } from '../left.ts';
import { Run } from '../run.ts';
import { KEY, Server, stateFolder } from '../server.ts';
import { Faults } from './faults.ts';
import { Dice, scheduleOf, type Schedule } from './schedule.ts';
import { definitions, play } from './sessions.ts';

/* eslint-disable no-console */

/** A run that has not come to its end by then has hung, ms. */
const END = 180_000;

/** Sessions open at once. */
const AT_ONCE = 12;
/** A slow machine may take this much longer to play its schedule, ms; then the rest is left out. */
const STRETCH = 60_000;
/** A server that does not listen by then is hit all the same, ms. */
const STARTING = 10_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    docker: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const seed = Number(values.seed);
const length = Number(values.minutes) * 60_000;
if (!Number.isSafeInteger(seed) || !(length > 0)) {
  console.error('Give --minutes as a number above 0 and --seed as a whole number.');
  process.exit(2);
}

// So that containers in networks of their sessions reach the server, which is here.
const elsewhere = values.docker ? await runInOwnNetwork() : undefined;
if (elsewhere !== undefined) process.exit(elsewhere);

/** Gives back, last first, what was acquired. */
const releases: ((isGood: boolean) => Promise<unknown> | void)[] = [];
// Also what nobody expected leaves nothing behind.
process.once('uncaughtException', (error) => {
  console.error(error);
  console.log(`Chaos: it could not be played (${error.message}).`);
  void release(false).finally(() => process.exit(1));
});
const command = `npm run chaos -- --minutes ${values.minutes} --seed ${seed}`;
const engine = values.docker
  ? await OwnEngine.begin({ liveRestore: true }).catch(() => undefined)
  : undefined;
releases.push(async () => engine?.end());
const image = engine && (await withEngine(engine, (api) => busyboxImage(api)));
const receiver = await Receiver.open((_call, count) => ({ status: count % 5 === 4 ? 503 : 200 }));
releases.push(() => receiver.close());
const hook = receiver.url('/end');
const project = new Project({
  'coral.config.yaml': `
auth: {keys: [${KEY}]}
registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false}
logging: {maxAgentOutput: 256KiB}
${engine ? `docker: {socket: ${engine.endpoint}}` : ''}
`,
  ...definitions(image),
});
releases.push((isGood) => (isGood ? project.remove() : project.end()));
const folder = stateFolder(project);
mkdirSync(folder);
const size = `${64 + Math.ceil(length / 60_000) * 8}m`;
const disk = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'coral-chaos', folder]).status === 0;
if (disk) releases.push(() => void spawnSync('umount', ['-l', folder]));

const schedule = scheduleOf(seed, length, { docker: engine !== undefined, disk });
console.log(
  `${command}: ${schedule.sessions.length} sessions, ${schedule.faults.length} faults` +
    `${engine ? '' : '; without containers: no Docker engine could be started'}` +
    `${engine && !hasOwnNetwork() ? '; no container has a network: the engine has one of its own' : ''}` +
    `${disk ? '' : '; without full disks: a small one cannot be mounted'}.`,
);

releases.push(endProcesses);
const server = await Server.start(project, { isPatient: true });
releases.push(() => server.abandon());
const begun = Date.now();
let played = 0;
const run = new Run(project, server);
const faults = new Faults({ server, folder, engine }, new Dice(seed ^ 0x0b5e55ed));
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    console.log(`Chaos: ended by ${name}.`);
    void release(true).finally(() => process.exit(130));
  });
const broken = await Promise.race([
  wreak(schedule).then(settle),
  pause(length + STRETCH + END, undefined, { ref: false }).then(() => ['it hung: ' + whatHangs()]),
]).catch((error: unknown) => [
  `it could not be ended: ${error instanceof Error ? error.message : String(error)}`,
]);
const { operations } = run;
const count = (what: string): number => faults.done.filter((one) => one.what.startsWith(what)).length;
const totals =
  `${played} sessions, ${operations.filter(({ kind }) => kind === 'send').length} sends, ` +
  `${operations.filter(({ kind }) => kind === 'wait').length} waits, ${receiver.called.length} webhooks; ` +
  `${count('killed')} kills (${server.deaths} of the server, ${faults.keeperDeaths.length} of the keeper, ${count('killed agent')} of agents, ` +
  `${count('killed docker')} of Docker), ${count('froze')} freezes, ${count('filled')} full disks ` +
  `in ${Math.round((Date.now() - begun) / 1_000)} s`;
if (broken.length > 0) {
  const kept = keepEvidence(broken);
  for (const what of broken.slice(0, 20)) console.log(`  ${what}`);
  console.log(`Evidence: ${kept}`);
}
await release(broken.length === 0);
console.log(
  broken.length === 0
    ? `Chaos: every promise was kept (${totals}; ${command}).`
    : `Chaos: BROKEN, ${broken.length} violations, the first: ${broken[0]} (${totals}; ${command}).`,
);
process.exit(broken.length === 0 ? 0 : 1);

/** Everything the schedule holds, each thing when its time has come; resolves when all sessions are played. */
async function wreak({ sessions, faults: planned }: Schedule): Promise<void> {
  const until = (at: number): Promise<unknown> => pause(Math.max(0, begun + at - Date.now()));
  const isLate = (): boolean => Date.now() - begun > length + STRETCH;
  let told = 0;
  const tell = setInterval(() => {
    const minutes = ((Date.now() - begun) / 60_000).toFixed(1);
    const fresh = run.operations.slice(told);
    told += fresh.length;
    const good = fresh.filter(({ outcome }) => outcome === 'ok').length;
    const { bavail, bsize } = statfsSync(folder);
    console.log(
      `${minutes} min: ${faults.done.length} faults, ${played} sessions of which ${playing.size} are open; ` +
        `in this minute ${good} of ${fresh.length} operations were acknowledged; ${Math.round((bavail * bsize) / 2 ** 20)} MiB free`,
    );
  }, 60_000);
  const playing = new Set<Promise<void>>();
  const opening = (async () => {
    for (const [number, session] of sessions.entries()) {
      await until(session.at);
      // A slow machine plays fewer of them, in the same order.
      while (playing.size >= AT_ONCE) await Promise.race(playing);
      if (isLate()) break;
      played += 1;
      const one = play(run, session, number, { receiver: hook, hasNetworks: hasOwnNetwork() });
      playing.add(one);
      void one.then(() => playing.delete(one));
    }
    await Promise.all(playing);
  })();
  for (const fault of planned) {
    await until(fault.at);
    // What is hit must be there; a slow machine needs its time to start it.
    await Promise.race([server.up().catch(() => undefined), pause(STARTING)]);
    if (isLate()) break;
    faults.begin(fault);
  }
  await faults.over();
  await opening;
  clearInterval(tell);
}

/** Lets everything come to its end, and says what promise was broken. */
async function settle(): Promise<string[]> {
  await run.delivered();
  const codes = [await server.stop()];
  const instance = readFileSync(join(folder, 'instance'), 'utf8').trim();
  const processes = processesOf(folder, instance);
  // What a full disk did not take is made good by the next start.
  await server.again();
  await run.delivered();
  codes.push(await server.stop());
  const history = await historyNow();
  return [
    ...codes.flatMap((code) =>
      code === 0 ? [] : [`a server that was stopped in good order ended with ${code}`],
    ),
    ...processes.map(({ pid, command }) => `left behind by the first stop: process ${pid} (${command})`),
    ...violations(history).map(({ rule, what }) => `${rule}: ${what}`),
  ];
}

async function historyNow(): Promise<History> {
  const deaths = { server: server.deaths, keeper: faults.keeperDeaths, docker: faults.engineDeaths };
  if (engine === undefined) return run.history(deaths, receiver);
  return withEngine(engine, (api) => run.history(deaths, receiver, api));
}

function whatHangs(): string {
  return `the server said last: ${server.said.slice(-500)}`;
}

/** Keeps what is needed to find out what happened; resolves with where. */
function keepEvidence(found: readonly string[]): string {
  const at = join(project.folder, 'evidence');
  mkdirSync(at);
  cpSync(folder, join(at, 'state'), { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
  const lines = (values: readonly object[]): string =>
    values.map((value) => `${JSON.stringify(value)}\n`).join('');
  writeFileSync(join(at, 'violations.txt'), found.join('\n'));
  writeFileSync(join(at, 'operations.jsonl'), lines(run.operations));
  writeFileSync(join(at, 'faults.jsonl'), lines(faults.done));
  writeFileSync(join(at, 'schedule.json'), JSON.stringify(schedule, undefined, 1));
  writeFileSync(join(at, 'server.log'), server.log.join('\n--- next life ---\n'));
  return at;
}

/** Ends whatever is still there of the run: all of it is tried. */
async function release(isGood: boolean): Promise<void> {
  for (let one = releases.pop(); one !== undefined; one = releases.pop()) {
    try {
      await one(isGood);
    } catch (error) {
      console.error(error);
    }
  }
}

/** Agents and the keeper. */
async function endProcesses(): Promise<void> {
  await project.end();
  const instance = join(folder, 'instance');
  if (!existsSync(instance)) return;
  for (const { pid } of processesOf(folder, readFileSync(instance, 'utf8').trim()))
    process.kill(pid, 'SIGKILL');
}

async function withEngine<T>(own: OwnEngine, act: (api: Engine) => Promise<T>): Promise<T> {
  const api = new Engine({ endpoint: own.endpoint });
  try {
    return await act(api);
  } finally {
    api.close();
  }
}
