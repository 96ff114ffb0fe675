/** The machine's clock jumps by an hour and back while the server and its keeper live. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { WireEvent } from '../../src/domain/wire/event.ts';
import { Message, Thread } from '../../src/domain/wire/session.ts';
import { ArchivedLines } from '../../src/http/archive-routes.ts';
import { agentOf, Api } from '../support/api.ts';
import { CONFIG, definition, Project } from '../support/coral-process.ts';
import { describeFakeTime, FakeTime } from '../support/fake-time.ts';
import { Receiver } from '../support/receiver.ts';

const HOUR = 3_600;
const HALF_AN_HOUR = 1_800_000;
const KEY = 'a-key-of-this-test';

const shell = (script: string): string =>
  `{executable: {path: sh, arguments: [-c, '${script}'], transport: streamable_http}}`;

let project: Project;
let receiver: Receiver | undefined;
let keeper: ChildProcess | undefined;
afterEach(async () => {
  await project.remove();
  await receiver?.close();
  keeper?.kill('SIGKILL');
});

/** A keeper on the faked clock, found by the server that is started next. */
async function startKeeper(time: FakeTime): Promise<void> {
  const first = project.start(['serve', '--json', '--network.bind-port=0']);
  const [, instance] = await first.saw(/"instance":"([^"]+)"/);
  first.signal('SIGTERM');
  await first.finished();
  const state = join(project.folder, '.coral');
  const given = { folder: join(state, 'keeper'), instance, temporaryFolder: join(state, 'options') };
  const entry = new URL('../../dist/keeper.js', import.meta.url).pathname;
  keeper = spawn(process.execPath, [entry, JSON.stringify(given)], {
    env: time.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(keeper.stdout!, 'data');
}

const EventPage = z.object({ events: z.array(WireEvent) });

describeFakeTime('a machine whose clock jumps', () => {
  it('ends nothing early and nothing late, and no time goes back', async () => {
    let refuses = true;
    receiver = await Receiver.open(() => ({ status: refuses ? 503 : 204 }));
    project = new Project({
      'coral.config.yaml': `${CONFIG}auth: {keys: [${KEY}]}\n`,
      'agents/steady.yaml': definition('steady', shell('while :; do echo tick; sleep 0.05; done')),
      'agents/failing.yaml': definition('failing', shell('exit 1')),
      'agents/once.yaml': definition(
        'once',
        shell('until test -e "$GO"; do sleep 0.02; done; exit 1'),
        '{GO: {type: string}}',
      ),
    });
    const time = new FakeTime(project.folder);
    await startKeeper(time);
    const server = project.start(['serve', '--network.bind-port=0'], time.environment);
    const [, url = ''] = await server.saw(/listens on (http:\S+)/);
    const api = new Api(url, KEY);
    const began = Date.now();

    /** Moves the clock and waits until the server's own shows it. */
    const jump = async (seconds: number): Promise<void> => {
      time.shift(seconds);
      for (;;) {
        const { headers } = await api.ask('GET', '/health');
        const off = Date.parse(headers.get('date') ?? '') - Date.now() - seconds * 1_000;
        if (Math.abs(off) < 60_000) return;
      }
    };
    const restart = { policy: 'on_failure', maxRestarts: 9, delay: HALF_AN_HOUR, maxDelay: HALF_AN_HOUR };
    const go = { options: { GO: { type: 'string', value: join(project.folder, 'go') } } };
    const hook = { url: receiver.url('/end') };
    const long = await api.open(
      [
        agentOf('steady', 'executable'),
        agentOf('failing', 'executable', { restart }),
        agentOf('once', 'executable', { ...go, restart }),
      ],
      { ttl: HALF_AN_HOUR },
    );
    const held = await api.open([agentOf('failing', 'executable')], {
      persistenceMode: { mode: 'hold_after_exit', duration: HALF_AN_HOUR },
      webhooks: { sessionEnd: hook },
    });
    await api.until(held, ({ base }) => base.status.type === 'closing');
    await receiver.until(() => receiver!.called.length > 0);

    const puppet = `/api/v1/puppet/test/${long}/steady`;
    const { thread } = await api.expect(z.object({ thread: Thread }), 'POST', `${puppet}/thread`, {
      threadName: 'over the jumps',
      participantNames: ['failing'],
    });
    const say = async (content: string): Promise<void> => {
      const said = { threadId: thread.id, content, mentions: [] };
      await api.expect(z.object({ message: Message }), 'POST', `${puppet}/thread/message`, said);
    };
    /** A wait that is open over a jump, and ends by the message that comes then. */
    const reading = (after: string | undefined): Promise<{ messages: { id: string; text: string }[] }> =>
      api.get(
        z.object({ messages: z.array(Message) }),
        `/api/v1/puppet/test/${long}/failing/messages?wait=55000${after === undefined ? '' : `&after=${after}`}`,
      );

    let after: string | undefined;
    for (const [n, seconds] of [0, HOUR, -HOUR, 0].entries()) {
      const wait = reading(after);
      const short = await api.open([agentOf('steady', 'executable')], { ttl: 100 });
      await jump(seconds);
      await say(`message ${n}`);
      const { messages } = await wait;
      expect(messages.map(({ text }) => text)).toEqual([`message ${n}`]);
      after = messages[0]?.id;
      // What is due comes, wherever the clock stands.
      await api.until(short, ({ base }) => base.status.type === 'closed');
      // And what is not due does not.
      const { base, agents } = await api.session(long);
      expect(base.status.type).toBe('executed');
      expect(agents.map(({ status }) => status.type)).toEqual([
        'running',
        'waiting',
        n < 2 ? 'running' : 'waiting',
      ]);
      expect((await api.session(held)).base.status.type).toBe('closing');
      if (n !== 1) continue;
      // It ran for moments, and an hour by the machine's clock.
      project.write('go', '');
      await api.until(long, (session) => session.agents[2]?.status.type === 'waiting');
    }
    refuses = false;
    await receiver.until(() => receiver!.called.some((_, index) => index > 0));
    const deliveries = z.array(z.unknown());
    while ((await api.get(deliveries, '/api/v1/deliveries')).length > 0);

    const lasted = Date.now() - began;
    const within = (times: readonly string[]): void => {
      expect(times.length).toBeGreaterThan(0);
      expect(times).toEqual([...times].sort());
      const first = Date.parse(times[0]!);
      expect(Math.abs(first - began)).toBeLessThan(lasted + 5_000);
      expect(Date.parse(times.at(-1)!) - first).toBeLessThan(lasted + 5_000);
    };
    const archive = `/api/v1/archive/session/test/${long}`;
    const { events } = await api.get(EventPage.loose(), `${archive}/events`);
    within(events.map(({ timestamp }) => timestamp));
    const exits = events.flatMap((event) =>
      'exit' in event && event.exit !== undefined ? [event.exit.time] : [],
    );
    expect(exits).toHaveLength(2);
    within(exits);
    const { lines } = await api.get(ArchivedLines, `${archive}/logs?limit=1000`);
    within(lines.map((line) => line.timestamp));
    const signed = receiver.called.map(({ headers }) => String(headers['x-coral-signature-timestamp']));
    within(signed.map((seconds) => new Date(Number(seconds) * 1_000 + 999).toISOString()));
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
  });
});
