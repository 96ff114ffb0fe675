/** Clients and agents of one run, whose every question and answer is written down for the checker. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openSqliteJournal } from '../../src/journal/sqlite.ts';
import type { JournalRecord } from '../../src/ports/journal.ts';
import type { Engine } from '../../src/runtimes/docker/engine.ts';
import { labelsIn } from '../../src/runtimes/mark.ts';
import type { Project } from '../support/coral-process.ts';
import type { Receiver } from '../support/receiver.ts';
import { ask, type Answered } from './ask.ts';
import type { Deaths, History, Life, Open, Operation, Outcome, Send, Wait } from './history.ts';
import { leftOf } from './left.ts';
import { KEY, stateFolder, type Server } from './server.ts';

/** Pause before something that did not go is asked again, ms. */
const AGAIN = 50;

/** A session as its clients name it. */
export interface Session {
  readonly namespace: string;
  readonly sessionId: string;
}

/**
 * The beginning of an agent's program (sh): says that it lives (`lives`), and where it reaches the server (`url-…`),
 * beside its definition.
 */
export const ALIVE = `echo "$CORAL_MARK $$" >> lives
url=url-$CORAL_SESSION_ID-$CORAL_AGENT_ID
echo "$CORAL_CONNECTION_URL" > $url.$$ && mv $url.$$ $url`;

/** Asked before something is tried again: true when nobody wants it any more. */
export type GiveUp = () => boolean;
const NEVER: GiveUp = () => false;

/** What an operation came to, beyond its outcome. */
type Came<O extends Operation> = { readonly outcome: Outcome } & Partial<O>;

/** One run on one server. */
export class Run {
  readonly operations: Operation[] = [];
  private clock = 0;

  constructor(
    readonly project: Project,
    readonly server: Server,
  ) {}

  /** Asks for a session until it is acknowledged. */
  async open(key: string, request: object): Promise<Session> {
    for (;;) {
      let opened: Session | undefined;
      await this.note<Open>({ kind: 'open', key }, async () => {
        const answer = await this.api('POST', '/api/v1/local/session', request, { 'idempotency-key': key });
        if (answer.status !== 200) return { outcome: refusal(answer) };
        opened = JSON.parse(answer.text) as Session;
        return { outcome: 'ok', session: opened.sessionId };
      });
      if (opened !== undefined) return opened;
      await pause(AGAIN);
    }
  }

  /** Sends until it is acknowledged; false when it is no longer possible. */
  async send(
    session: Session,
    agent: string,
    thread: string,
    key: string,
    text: string,
    giveUp = NEVER,
  ): Promise<boolean> {
    const about = { kind: 'send', session: session.sessionId, thread, agent, key, text } as const;
    const args = { threadId: thread, content: text, mentions: [], idempotencyKey: key };
    for (;;) {
      const { outcome } = await this.note<Send>(about, async () => {
        const { outcome, result } = await this.tool(session, agent, 'coral_send_message', args);
        return {
          outcome,
          ...(outcome === 'ok' && { message: (result as { message: { id: string } }).message.id }),
        };
      });
      if (outcome === 'ok') return true;
      if (giveUp() || (await this.isOver(session))) return false;
      await pause(AGAIN);
    }
  }

  /** Waits once, `ms` at the most; undefined: there was nothing, or nobody knows. */
  async wait(session: Session, agent: string, ms: number): Promise<Wait> {
    return this.note<Wait>({ kind: 'wait', session: session.sessionId, agent }, async () => {
      const { outcome, result } = await this.tool(session, agent, 'coral_wait_for_message', {
        maxWaitMs: ms,
      });
      const message = (result as { message?: { id?: string } } | undefined)?.message?.id;
      return { outcome, ...(message !== undefined && { message }) };
    });
  }

  /** Waits until there is nothing more; false when the session was over before. */
  async drain(session: Session, agent: string, giveUp = NEVER): Promise<boolean> {
    for (;;) {
      const { outcome, message } = await this.wait(session, agent, 0);
      if (outcome === 'ok' && message === undefined) return true;
      if (outcome === 'ok') continue;
      if (giveUp() || (await this.isOver(session))) return false;
      await pause(AGAIN);
    }
  }

  /** Creates a thread; asked again after a crash there may be two, of which the last is used. */
  async thread(
    session: Session,
    agent: string,
    name: string,
    participants: readonly string[],
    giveUp = NEVER,
  ): Promise<string | undefined> {
    for (;;) {
      const { outcome, result } = await this.tool(session, agent, 'coral_create_thread', {
        threadName: name,
        participantNames: participants,
      });
      if (outcome === 'ok') return (result as { thread: { id: string } }).thread.id;
      if (giveUp() || (await this.isOver(session))) return undefined;
      await pause(AGAIN);
    }
  }

  /** Greets as MCP clients do, until it is answered; false when the session is over. */
  async connect(session: Session, agent: string, giveUp = NEVER): Promise<boolean> {
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'test', version: '1' },
    };
    for (;;) {
      const { outcome } = await this.mcp(session, agent, 'initialize', params);
      if (outcome === 'ok') return true;
      if (giveUp() || (await this.isOver(session))) return false;
      await pause(AGAIN);
    }
  }

  /** Closes a session and resolves when it is closed. */
  async close(session: Session): Promise<void> {
    const path = `/api/v1/local/session/${session.namespace}/${session.sessionId}`;
    for (;;) {
      const status = await this.api('DELETE', path).then(
        (answer) => answer.status,
        () => 0,
      );
      if (status === 404) return;
      await pause(AGAIN);
    }
  }

  /** Resolves when an agent is in a phase, or its session is over. */
  async until(session: Session, agent: string, phase: 'running' | 'stopped'): Promise<void> {
    const path = `/api/v1/local/session/${session.namespace}/${session.sessionId}/agents/${agent}`;
    for (;;) {
      const answer = await this.api('GET', path).catch(() => undefined);
      if (answer?.status === 404) return;
      if (answer?.status === 200 && (JSON.parse(answer.text) as { phase: string }).phase === phase) return;
      await pause(AGAIN);
    }
  }

  /** True when nobody can talk in it any more. */
  async isOver(session: Session): Promise<boolean> {
    const path = `/api/v1/local/session/${session.namespace}/${session.sessionId}`;
    for (;;) {
      const answer = await this.api('GET', path).catch(() => undefined);
      if (answer?.status === 404) return true;
      if (answer?.status === 200) {
        const { status } = JSON.parse(answer.text) as { status: { type: string } };
        return status.type === 'closing' || status.type === 'closed';
      }
      await pause(AGAIN);
    }
  }

  /** Resolves when no webhook is owed anything. */
  async delivered(): Promise<void> {
    for (;;) {
      const answer = await this.api('GET', '/api/v1/deliveries').catch(() => undefined);
      if (answer?.status === 200 && (JSON.parse(answer.text) as []).length === 0) return;
      await pause(AGAIN);
    }
  }

  /** The history of a run whose server was stopped. */
  async history(deaths: Deaths, receiver: Receiver, engine?: Engine): Promise<History> {
    const folder = stateFolder(this.project);
    return {
      operations: this.operations,
      lives: this.lives(),
      reports: receiver.called.map(({ headers, body }) => ({
        session: (JSON.parse(body) as { sessionState: { state: { id: string } } }).sessionState.state.id,
        delivery: String(headers['x-coral-delivery']),
        body,
      })),
      deaths,
      left: await leftOf(folder, engine),
      journal: await recordsOf(join(folder, 'journal.db')),
    };
  }

  /** Which session is which, for people. */
  index(): string {
    const opens = this.operations.filter((operation) => operation.kind === 'open');
    return opens.map(({ key, session, outcome }) => `${key}: ${session ?? outcome}`).join('\n');
  }

  /** Lets an agent do what it waits for (`test -e WORD-$CORAL_SESSION_ID-$CORAL_AGENT_ID`). */
  tell(session: Session, agent: string, word: string, text = ''): void {
    writeFileSync(join(this.project.folder, 'agents', `${word}-${session.sessionId}-${agent}`), text);
  }

  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answered> {
    const url = await this.server.up();
    return ask(method, `${url}${path}`, body, { authorization: `Bearer ${KEY}`, ...headers });
  }

  private lives(): Life[] {
    return linesOf(join(this.project.folder, 'agents', 'lives')).flatMap((line) => {
      const [mark = '', who = ''] = line.split(' ');
      const labels = labelsIn(mark);
      if (labels === undefined) throw new Error(`An agent said of itself: ${line}`);
      return [{ session: labels.session, agent: labels.agent, attempt: labels.attempt, who }];
    });
  }

  private async tool(
    session: Session,
    agent: string,
    name: string,
    args: object,
  ): Promise<{ outcome: Outcome; result?: unknown }> {
    const { outcome, result } = await this.mcp(session, agent, 'tools/call', { name, arguments: args });
    if (outcome !== 'ok') return { outcome };
    const { isError, structuredContent, content } = result as {
      isError?: boolean;
      structuredContent?: unknown;
      content: [{ text: string }];
    };
    if (isError === true) return { outcome: 'refused', result: content[0].text };
    return { outcome, result: structuredContent ?? JSON.parse(content[0].text) };
  }

  private async mcp(
    session: Session,
    agent: string,
    method: string,
    params: object,
  ): Promise<{ outcome: Outcome; result?: unknown }> {
    const [url] = linesOf(join(this.project.folder, 'agents', `url-${session.sessionId}-${agent}`));
    if (url === undefined) return { outcome: 'refused' };
    await this.server.up();
    const answer = await ask('POST', url, { jsonrpc: '2.0', id: 1, method, params }).catch(() => undefined);
    if (answer === undefined) return { outcome: 'unknown' };
    if (answer.status !== 200) return { outcome: refusal(answer) };
    const { result, error } = JSON.parse(answer.text) as { result?: unknown; error?: { code: number } };
    if (error !== undefined) return { outcome: error.code === -32_603 ? 'unknown' : 'refused' };
    return { outcome: 'ok', result };
  }

  private async note<O extends Operation>(
    about: Omit<O, 'invoked' | 'completed' | 'outcome'>,
    act: () => Promise<Came<O>>,
  ): Promise<O> {
    const invoked = ++this.clock;
    const came = await act().catch((): Came<O> => ({ outcome: 'unknown' }) as Came<O>);
    const operation = { ...about, ...came, invoked, completed: ++this.clock } as unknown as O;
    this.operations.push(operation);
    return operation;
  }
}

/** 5xx without a word of its own says that the server does not know either. */
function refusal({ status }: Answered): Outcome {
  return status === 500 || status === 502 || status === 504 ? 'unknown' : 'refused';
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}

async function recordsOf(file: string): Promise<readonly JournalRecord[]> {
  const journal = openSqliteJournal({ file, sync: 'normal', now: Date.now });
  const records: JournalRecord[] = [];
  try {
    let cursor: string | undefined;
    do {
      const page = await journal.streams({ limit: 1_000, ...(cursor !== undefined && { cursor }) });
      for (const { stream, lastSeq } of page.streams)
        records.push(...(await journal.read(stream, 0, lastSeq + 1)));
      cursor = page.next;
    } while (cursor !== undefined);
  } finally {
    await journal.close();
  }
  return records.toSorted((a, b) => a.position - b.position);
}
