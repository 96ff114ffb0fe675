/** The machine's clock jumps by an hour and back while the server and its keeper live. */
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
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

/** Says where it reaches the server, and prints more than is kept. */
const STEADY =
  'echo $CORAL_CONNECTION_URL > url-$CORAL_SESSION_ID; i=0; while :; do i=$((i+1)); echo tick $i $(printf %01500d 0); sleep 0.05; done';

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

/** The address of the agent of a session, once it has written it down. */
async function urlOf(api: Api, id: string): Promise<string> {
  const file = join(project.folder, 'agents', `url-${id}`);
  while (!existsSync(file) || !readFileSync(file, 'utf8').endsWith('\n')) await api.ask('GET', '/health');
  return readFileSync(file, 'utf8').trim();
}

/** The cookie of a browser that has logged in. */
async function logIn(url: string): Promise<string> {
  const body = new URLSearchParams({ token: KEY });
  const { headers } = await fetch(`${url}/api/v1/auth/token`, { method: 'POST', body, redirect: 'manual' });
  return headers.get('set-cookie')?.split(';')[0] ?? '';
}

const ACCEPT = { accept: 'application/json, text/event-stream' };

/** An MCP session; its id. */
async function connect(endpoint: string): Promise<string> {
  const params = {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  };
  const { headers } = await fetch(endpoint, {
    method: 'POST',
    headers: { ...ACCEPT, 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  return headers.get('mcp-session-id') ?? '';
}

/** Each time the server looks which clients are idle it also says something to one that listens; `seen`: how often. */
class Looks {
  seen = 0;
  private constructor(private readonly stream: ReadableStreamDefaultReader<Uint8Array>) {}

  static async of(endpoint: string): Promise<Looks> {
    const headers = { ...ACCEPT, 'mcp-session-id': await connect(endpoint) };
    const { body } = await fetch(endpoint, { headers });
    const looks = new Looks(body!.getReader());
    void looks.count();
    return looks;
  }

  /** Resolves when there was one from now on. */
  async next(): Promise<void> {
    const before = this.seen;
    while (this.seen === before) await once(this.news, 'seen');
  }

  end(): Promise<void> {
    return this.stream.cancel();
  }

  private readonly news = new EventEmitter();

  private async count(): Promise<void> {
    while (!(await this.stream.read()).done) {
      this.seen += 1;
      this.news.emit('seen');
    }
  }
}

const EventPage = z.object({ events: z.array(WireEvent) });

/** How often agents of a session were taken for gone. */
async function disconnected(api: Api, id: string): Promise<number> {
  const { events } = await api.get(EventPage.loose(), `/api/v1/archive/session/test/${id}/events`);
  return events.filter(({ type }) => type === 'agent_disconnected').length;
}

describeFakeTime('a machine whose clock jumps', () => {
  it('ends nothing early and nothing late, and no time goes back', async () => {
    let refuses = true;
    receiver = await Receiver.open(() => ({ status: refuses ? 503 : 204 }));
    project = new Project({
      'coral.config.yaml': `${CONFIG}auth: {keys: [${KEY}]}\nlogging: {maxAgentOutput: 64KiB}\nlimits: {mcpIdleTimeout: 30m}\n`,
      'agents/steady.yaml': definition('steady', shell(STEADY)),
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

    const cookie = await logIn(url);
    const endpoint = await urlOf(api, long);
    const idle = await connect(endpoint);
    // Tells of every look at which clients are idle.
    const other = await api.open([agentOf('steady', 'executable')]);
    const looks = await Looks.of(await urlOf(api, other));

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
      // Nobody is logged out.
      expect((await fetch(`${url}/api/v1/registry`, { headers: { cookie } })).status).toBe(200);
      if (n !== 1) continue;
      // And nobody who is silent is forgotten.
      await looks.next();
      expect(await disconnected(api, long)).toBe(0);
      // It ran for moments, and an hour by the machine's clock.
      project.write('go', '');
      await api.until(long, (session) => session.agents[2]?.status.type === 'waiting');
    }
    refuses = false;
    await receiver.until(() => receiver!.called.some((_, index) => index > 0));
    const deliveries = z.array(z.unknown());
    while ((await api.get(deliveries, '/api/v1/deliveries')).length > 0);

    expect((await fetch(endpoint, { method: 'DELETE', headers: { 'mcp-session-id': idle } })).status).toBe(
      200,
    );
    while ((await disconnected(api, long)) === 0);
    await looks.end();
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
    const { lines, droppedBytes } = await api.get(ArchivedLines, `${archive}/logs?limit=1000`);
    within(lines.map((line) => line.timestamp));
    // What is kept of much is the newest of it, without gap.
    expect(droppedBytes).toBeGreaterThan(0);
    const ticks = lines.flatMap(({ text }) => /^tick (\d+) /.exec(text)?.[1] ?? []).map(Number);
    expect(ticks[0]).toBeGreaterThan(1);
    expect(ticks).toEqual(ticks.map((_, index) => ticks[0]! + index));
    const signed = receiver.called.map(({ headers }) => String(headers['x-coral-signature-timestamp']));
    within(signed.map((seconds) => new Date(Number(seconds) * 1_000 + 999).toISOString()));
    server.signal('SIGTERM');
    expect((await server.finished()).code).toBe(0);
  }, 120_000);
});
