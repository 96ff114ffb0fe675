/** The clients of a run of chaos: open what is planned, talk, leave, close. */
import { setTimeout as pause } from 'node:timers/promises';
import { ALIVE, type Run, type Session } from '../run.ts';
import { definition } from '../../support/coral-process.ts';
import type { Kind, PlannedAgent, PlannedSession } from './schedule.ts';

/** Nobody tries longer than this to say something in a session, ms. */
const LONGEST = 12_000;

/** Lives until it is told to leave, with a child that has left its group. */
const TALKER = `${ALIVE}
setsid sleep 600 & 
until test -e go-$CORAL_SESSION_ID-$CORAL_AGENT_ID; do echo tick; sleep 0.1; done
exit $(cat go-$CORAL_SESSION_ID-$CORAL_AGENT_ID)`;
/** The same, deaf to SIGTERM. */
const STUBBORN = `trap '' TERM\n${TALKER}`;

const program = (script: string): string => `{path: sh, arguments: [-c, ${JSON.stringify(script)}]}`;

/** The definitions of all agents. */
export function definitions(image: string | undefined): Readonly<Record<string, string>> {
  const container = (network: string): string =>
    `{docker: {image: ${image ?? 'none'}, network: ${network}, command: [sh, -c, "while :; do echo tick; sleep 0.2; done"]}}`;
  const of: Record<Kind | 'networked', string> = {
    executable: `{executable: ${program(TALKER)}}`,
    stubborn: `{executable: ${program(STUBBORN)}}`,
    scripted: '{scripted: {run_for: 3s, exit_code: 1, output: [one, two], flood: 50}}',
    docker: container('none'),
    networked: container('session'),
  };
  return Object.fromEntries(
    Object.entries(of)
      .filter(([, runtimes]) => !runtimes.startsWith('{docker') || image !== undefined)
      .map(([kind, runtimes]) => [
        `agents/${kind}.yaml`,
        `${definition(kind, runtimes, '{TOKEN: {type: string, secret: true, required: true}}')}timeouts: {stop: 1s}\n`,
      ]),
  );
}

/** Where sessions are played. */
export interface Place {
  /** URL of who is told of their ends. */
  readonly receiver: string;
  /** Whether containers in networks of their sessions reach the server. */
  readonly hasNetworks: boolean;
}

/** Plays one session to its end. Never rejects for what the server says or does. */
export async function play(run: Run, planned: PlannedSession, number: number, place: Place): Promise<void> {
  const session = await run.open(`session ${number}`, request(planned, number, place));
  const late = Date.now() + LONGEST;
  const giveUp = (): boolean => Date.now() > late;
  try {
    await talk(run, session, planned, giveUp);
  } finally {
    // One that ends by its ttl is given the time to.
    if (planned.ttl !== undefined) while (!giveUp() && !(await run.isOver(session))) await pause(50);
    await run.close(session);
  }
}

async function talk(
  run: Run,
  session: Session,
  planned: PlannedSession,
  giveUp: () => boolean,
): Promise<void> {
  const [ann, bob] = planned.agents.map(({ name }) => name) as [string, string];
  const isThere = await Promise.all([ann, bob].map((name) => run.connect(session, name, giveUp)));
  if (isThere.includes(false)) return;
  const thread = await run.thread(session, ann, 'talk', [bob], giveUp);
  if (thread === undefined) return;
  let isSaid = false;
  const hearing = (async () => {
    while (!isSaid && !giveUp()) {
      const { outcome } = await run.wait(session, bob, 1_000);
      if (outcome !== 'ok') await pause(25);
      if (outcome === 'refused' && (await run.isOver(session))) return;
    }
  })();
  for (let n = 1; n <= planned.messages; n += 1) {
    if (!(await run.send(session, ann, thread, `key ${n}`, `message ${n}`, giveUp))) break;
    if (planned.leaves !== undefined && n === 2) run.tell(session, ann, 'go', String(planned.leaves));
    await pause(planned.pause);
  }
  isSaid = true;
  await hearing;
  await run.drain(session, bob, giveUp);
}

function request(planned: PlannedSession, number: number, { receiver, hasNetworks }: Place): object {
  const names = planned.agents.map(({ name }) => name);
  // Every other session has a network.
  const isNetworked = hasNetworks && number % 2 === 1;
  return {
    agentGraphRequest: { agents: planned.agents.map((one) => agent(one, isNetworked)), groups: [names] },
    namespaceProvider: { type: 'create_if_not_exists', namespaceRequest: { name: `chaos-${number % 7}` } },
    execution: {
      mode: 'immediate',
      runtimeSettings: {
        ttl: planned.ttl ?? 600_000,
        ...(planned.hold > 0 && { persistenceMode: { mode: 'hold_after_exit', duration: planned.hold } }),
        webhooks: { sessionEnd: { url: receiver } },
      },
    },
  };
}

function agent({ name, kind, restart }: PlannedAgent, isNetworked: boolean): object {
  const runtime = kind === 'stubborn' ? 'executable' : kind;
  const from = kind === 'docker' && isNetworked ? 'networked' : kind;
  return {
    id: { name: from, version: '1.0.0', registrySourceId: { type: 'local' } },
    name,
    provider: { type: 'local', runtime },
    options: { TOKEN: { type: 'string', value: `of ${name}` } },
    restart: { policy: restart, maxRestarts: 3, delay: 100 },
  };
}
