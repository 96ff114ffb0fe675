/** Sessions whose records are damaged are named and not served; everybody else is served. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { SessionKey } from '../../src/domain/session.ts';
import { checkJournal } from '../../src/journal/maintenance.ts';
import { openSqliteJournal, type SqliteJournal } from '../../src/journal/sqlite.ts';
import { openMemoryVault } from '../../src/journal/vault-memory.ts';
import { scriptedRuntime } from '../../src/runtimes/scripted/runtime.ts';
import { engineWorld, HandHost, type EngineWorld } from '../support/engine-world.ts';

let folder: string;
let journal: SqliteJournal;
const host = new HandHost();
const vault = openMemoryVault();

const start = async (more: Parameters<typeof engineWorld>[0] = {}): Promise<EngineWorld> => {
  journal = openSqliteJournal({ file: join(folder, 'journal.db'), sync: 'normal', now: () => 1000 });
  const errors: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: (text: string) => errors.push(text) };
  const world = await engineWorld({ host, vault, journal, log, ...more });
  return Object.assign(world, { errors });
};

/** The server goes and its agents stay, the file is changed, and another one comes. */
async function damagedMeanwhile(
  world: EngineWorld,
  sql: string,
): Promise<EngineWorld & { errors: readonly string[] }> {
  await world.coral.shutdown('everything');
  await journal.close();
  const database = new Database(join(folder, 'journal.db'));
  database.exec(sql);
  database.close();
  const again = await start({ runtimes: [...world.runtimes.values()] });
  return again as EngineWorld & { errors: readonly string[] };
}

const ofSession = ({ sessionId }: SessionKey): string =>
  `stream = (SELECT ref FROM streams WHERE id = '${sessionId}' AND kind = 'session')`;
const alive = async (world: EngineWorld): Promise<readonly string[]> =>
  (await world.runtimes.get('scripted')!.list()).map(({ labels }) => labels.agent).sort();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coral-quarantine-'));
});
afterEach(async () => {
  await journal.close();
  rmSync(folder, { recursive: true });
});

it.each([
  [
    'text that was changed',
    (key: SessionKey) => `UPDATE events SET body = replace(body, 'ann', 'eve') WHERE ${ofSession(key)}`,
  ],
  [
    'text that is no JSON',
    (key: SessionKey) => `UPDATE events SET body = 'x', sum = NULL WHERE seq = 2 AND ${ofSession(key)}`,
  ],
  ['a record that is missing', (key: SessionKey) => `DELETE FROM events WHERE seq = 2 AND ${ofSession(key)}`],
  [
    'a first record that is missing',
    (key: SessionKey) => `DELETE FROM events WHERE seq = 1 AND ${ofSession(key)}`,
  ],
  [
    'facts that add up to nothing',
    (key: SessionKey) =>
      `UPDATE events SET body = json_remove(body, '$.agents'), sum = NULL WHERE seq = 1 AND ${ofSession(key)}`,
  ],
  [
    'the story of another session',
    (key: SessionKey) =>
      `UPDATE events SET body = json_set(body, '$.sessionId', 'other'), sum = NULL WHERE seq = 1 AND ${ofSession(key)}`,
  ],
])('a session is not served for %s, and all others are', async (_name, damage) => {
  const first = await start({ runtimes: [scriptedRuntime({ host })] });
  const good = await first.open(['worker:bob']);
  const bad = await first.open(['worker:ann']);
  await first.settled();

  const world = await damagedMeanwhile(first, damage(bad));
  const said = expect.stringContaining(bad.sessionId);
  expect(world.coral.quarantined()).toMatchObject([{ ...bad, reason: expect.any(String) }]);
  expect(world.errors).toEqual([said]);
  expect(world.coral.sessions().map(({ sessionId }) => sessionId)).toEqual([good.sessionId]);
  const refused = expect.objectContaining({ code: 'session_damaged', message: said });
  expect(() => world.coral.session(bad)).toThrow(refused);
  expect(() => world.coral.agent(bad, 'ann')).toThrow(refused);
  expect(() => world.coral.participant(bad, 'ann')).toThrow(refused);
  expect(() => world.coral.feed.session(bad, 0, new AbortController().signal)).toThrow(refused);
  await expect(world.coral.changeTtl(bad, 1)).rejects.toThrow(refused);
  await expect(world.coral.archive.state(bad)).rejects.toThrow();

  // Nobody knows what they were doing; nobody ends them unasked, and their session's secrets are kept.
  expect(await alive(world)).toEqual(['ann', 'bob']);
  await world.coral.close(bad);
  expect(await alive(world)).toEqual(['bob']);
  expect(world.coral.quarantined()).toEqual([]);
  expect(() => world.coral.session(bad)).toThrow(expect.objectContaining({ code: 'unknown_session' }));
  await world.coral.close(good);
  await world.coral.shutdown();
});

it('a clean shutdown ends the agents of such sessions too, and the session stays named', async () => {
  const first = await start({ runtimes: [scriptedRuntime({ host })] });
  const bad = await first.open(['worker:ann']);
  await first.settled();
  const world = await damagedMeanwhile(first, `DELETE FROM events WHERE seq = 2 AND ${ofSession(bad)}`);
  await world.coral.shutdown();
  expect(await alive(world)).toEqual([]);
  const again = await damagedMeanwhile(world, 'SELECT 1');
  expect(again.coral.quarantined()).toMatchObject([bad]);
  await again.coral.closeNamespace('test');
  expect(again.coral.quarantined()).toEqual([]);
  expect(again.coral.namespaces()).toEqual([]);
  await again.coral.shutdown();
});

it('a namespace whose record is damaged is there as long as sessions are in it', async () => {
  const first = await start({ runtimes: [scriptedRuntime({ host })] });
  const key = await first.open(['worker:ann']);
  await first.coral.createNamespace({ name: 'other', deleteOnLastSessionExit: false, annotations: {} });
  await first.settled();
  const world = await damagedMeanwhile(
    first,
    "UPDATE events SET body = replace(body, 'test', 'tent') WHERE type = 'namespace_created'",
  );
  expect(world.errors).toEqual([
    expect.stringMatching(/^A namespace may be missing\. Record 1 of namespaces/),
  ]);
  expect(world.coral.namespaces().map(({ name }) => name)).toEqual(['other', 'test']);
  expect(world.coral.session(key).agents.size).toBe(1);
  await world.coral.createNamespace({ name: 'third', deleteOnLastSessionExit: false, annotations: {} });
  await world.coral.shutdown();
});

it('a page of a large journal that is damaged takes the session it belongs to and nobody else', async () => {
  const first = await start({ runtimes: [scriptedRuntime({ host })] });
  const keys: SessionKey[] = [];
  // Larger than what a start looks through page by page.
  for (let n = 0; n < 40; n += 1) {
    const key = await first.open(['worker:ann', 'worker:bob']);
    await first.settled();
    keys.push(key);
    const ann = first.agent(key.sessionId, 'ann');
    const { id } = await ann.createThread('talk', ['bob']);
    for (let m = 0; m < 60; m += 1)
      await ann.sendMessage(id, `message ${m} of session ${n} ${'x'.repeat(2_000)}`, []);
  }
  await first.coral.shutdown('everything');
  await journal.close();
  const file = join(folder, 'journal.db');
  const bytes = readFileSync(file);
  expect(bytes.length).toBeGreaterThan(4 * 1024 * 1024);
  const at = bytes.indexOf('message 30 of session 17 ');
  // The head of its page: what is on it cannot be found any more.
  bytes.fill(0xff, at - (at % 4_096), at - (at % 4_096) + 12);
  writeFileSync(file, bytes);

  const world = (await start({ runtimes: [...first.runtimes.values()] })) as EngineWorld & {
    errors: string[];
  };
  const bad = keys[17]!;
  expect(world.coral.quarantined()).toMatchObject([bad]);
  expect(world.errors).toEqual([expect.stringContaining(bad.sessionId)]);
  expect(world.coral.sessions()).toHaveLength(39);
  for (const key of keys) {
    if (key === bad) continue;
    const [last] = world.coral.session(key).messages.slice(-1);
    expect(last?.text).toMatch(/^message 59 /);
  }
  // It is still written to, and the damaged one can be closed.
  await world.coral.close(await world.open(['worker:ann']));
  await world.coral.close(bad);
  expect(world.coral.quarantined()).toEqual([]);
  await world.coral.shutdown();
  await journal.close();
  expect(checkJournal(file).problems.join(' ')).toMatch(/SQLite finds damage/);
});
