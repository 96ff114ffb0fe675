/**
 * The built program is killed at every numbered step (src/ports/failpoint.ts) of one story: a session is opened, two
 * agents start and talk, one leaves, the session is closed and its end reported. Each time the story goes on with the
 * next server to its end. What was seen of all that is held against the promises.
 */
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { STEPS, type Path, type Step } from '../../src/ports/failpoint.ts';
import { ARMED, REACHED } from '../support/armed-failpoint.ts';
import { definition, Project } from '../support/coral-process.ts';
import { buildWithFailpoints } from '../support/other-build.ts';
import { Receiver } from '../support/receiver.ts';
import { violations } from './checker.ts';
import type { Deaths } from './history.ts';
import { descriptorsOf, timersOf } from './left.ts';
import { ALIVE, Run } from './run.ts';
import { KEY, Server, stateFolder } from './server.ts';

const CONFIG = `
auth: {keys: [${KEY}]}
registry: {localAgents: [agents/*.yaml], includeCoralHomeAgents: false}
`;

/** Says where it is, and leaves when it is told to. */
const LEAVER = `${ALIVE}
until test -e go-$CORAL_SESSION_ID-$CORAL_AGENT_ID; do sleep 0.02; done
exit 0`;

const OPTIONS = '{TOKEN: {type: string, secret: true, required: true}}';
const MESSAGES = 3;
/** For all the steps of a path, ms. */
const LONG = 300_000;

type Moment = 'opens' | 'talks' | 'leaves' | 'closes';

/** The moments of the story at which the steps of a path are armed. */
const MOMENT: Readonly<Record<Path, Moment>> = {
  open: 'opens',
  launch: 'opens',
  message: 'talks',
  exit: 'leaves',
  close: 'closes',
  delivery: 'closes',
  keeper: 'opens',
};

let build: ReturnType<typeof buildWithFailpoints>;
let project: Project;
let receiver: Receiver;
let server: Server;
let run: Run;
beforeAll(() => {
  build = buildWithFailpoints();
});
afterAll(() => build.remove());
beforeEach(async () => {
  receiver = await Receiver.open(() => ({ status: 200 }));
  const runtime = `{executable: {path: sh, arguments: [-c, ${JSON.stringify(LEAVER)}]}}`;
  project = new Project(
    { 'coral.config.yaml': CONFIG, 'agents/leaver.yaml': definition('leaver', runtime, OPTIONS) },
    build.program,
  );
  server = await Server.start(project);
  run = new Run(project, server);
});
afterEach(async () => {
  server.abandon();
  await project.remove();
  await receiver.close();
});

const agent = (name: string): object => ({
  id: { name: 'leaver', version: '1.0.0', registrySourceId: { type: 'local' } },
  name,
  provider: { type: 'local', runtime: 'executable' },
  options: { TOKEN: { type: 'string', value: `of ${name}` } },
  restart: { policy: 'on_failure', maxRestarts: 5, delay: 10 },
});

/** Tells the story once; `at` is called as each of its moments comes. Resolves when all has come to its end. */
async function tell(title: string, at: (moment: Moment) => void): Promise<void> {
  at('opens');
  const session = await run.open(title, {
    agentGraphRequest: { agents: [agent('ann'), agent('bob')], groups: [['ann', 'bob']] },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: 'story' } },
    execution: {
      mode: 'immediate',
      runtimeSettings: {
        ttl: 600_000,
        // Held, so that its end and its close are two things.
        persistenceMode: { mode: 'hold_after_exit', duration: 600_000 },
        webhooks: { sessionEnd: { url: receiver.url('/end') } },
      },
    },
  });
  await Promise.all(['ann', 'bob'].map((name) => run.until(session, name, 'running')));
  await Promise.all(['ann', 'bob'].map((name) => run.connect(session, name)));
  const thread = await run.thread(session, 'ann', 'talk', ['bob']);
  if (thread === undefined) throw new Error('The session was over before anybody talked.');

  at('talks');
  const heard = new Set<string>();
  const hearing = (async () => {
    while (heard.size < MESSAGES) {
      const { message } = await run.wait(session, 'bob', 5_000);
      if (message !== undefined) heard.add(message);
    }
  })();
  for (let n = 1; n <= MESSAGES; n += 1) await run.send(session, 'ann', thread, `key ${n}`, `message ${n}`);
  await hearing;
  await run.drain(session, 'bob');

  at('leaves');
  run.tell(session, 'ann', 'go');
  await run.until(session, 'ann', 'stopped');

  at('closes');
  const reported = receiver.called.length;
  await run.close(session);
  await receiver.until(() => receiver.called.length > reported);
  await run.delivered();
}

/** Stops the server and holds what was seen against the promises. */
async function expectPromisesKept(deaths: Deaths): Promise<void> {
  const files = [...descriptorsOf(server.pid).keys()].filter((path) => path.startsWith(project.folder));
  expect(files.filter((path) => !/\/\.coral\/(journal|vault)\.db(-wal|-shm)?$/.test(path))).toEqual([]);
  expect(await server.stop(), server.said).toBe(0);
  const broken = violations(await run.history(deaths, receiver)).map(({ rule, what }) => `${rule}: ${what}`);
  expect(broken, [...broken, run.index(), server.said].join('\n')).toEqual([]);
}

/** Tells the story and kills the process whose step it is, with `both` its server too; resolves with when, wall-clock ms. */
async function tellAndKill(path: Path, step: Step, both: boolean): Promise<number> {
  const armed = join(stateFolder(project), ARMED);
  const reached = join(stateFolder(project), REACHED);
  const moment = step.at.startsWith('end') ? 'leaves' : MOMENT[path];
  let killed = Promise.resolve();
  await tell(`${step.at}${both ? ' with its server' : ''}`, (now) => {
    if (now !== moment) return;
    writeFileSync(armed, step.at);
    if (both) killed = until(() => existsSync(reached)).then(() => void server.signal('SIGKILL'));
  });
  expect(existsSync(reached), `${step.at} was never reached`).toBe(true);
  await killed;
  const { ctimeMs } = statSync(reached);
  rmSync(reached);
  return ctimeMs;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(1);
}

describe('the story that nobody disturbs', () => {
  it('keeps every promise and leaves the server as it found it', async () => {
    const url = await server.up();
    const before = await timersOf(url);
    await tell('undisturbed', () => undefined);
    // Some timers run on for seconds.
    while ((await timersOf(url)) > before);
    await expectPromisesKept({ server: 0, keeper: [], docker: [] });
  });
});

describe('a server that is killed', () => {
  const paths = Object.entries<readonly Step[]>(STEPS).filter(([path]) => path !== 'keeper');

  it.each(paths)('at every step of %s goes on with the next one', { timeout: LONG }, async (path, steps) => {
    for (const step of steps) await tellAndKill(path as Path, step, false);
    expect(server.deaths).toBe(steps.length);
    await expectPromisesKept({ server: steps.length, keeper: [], docker: [] });
  });
});

describe('a keeper that is killed', () => {
  it.each([
    ['under its server', false],
    ['together with its server', true],
  ])('at every step of its own, %s, is followed by another', { timeout: LONG }, async (_how, both) => {
    const keeper: number[] = [];
    for (const step of STEPS.keeper) keeper.push(await tellAndKill('keeper', step, both));
    expect(server.deaths).toBe(both ? keeper.length : 0);
    await expectPromisesKept({ server: server.deaths, keeper, docker: [] });
  });
});
