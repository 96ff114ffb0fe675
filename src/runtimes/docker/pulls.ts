/**
 * Pulling images. P1: one pull per image at a time, however many ask. P2: it ends: by a total deadline, and when
 * nothing comes for a time. P3: it is given up when the last who asked has gone. P4: what is final (not found, refused)
 * is told apart from what another try may mend.
 */
import type { IncomingMessage } from 'node:http';
import { LaunchFailure } from '../../ports/runtime.ts';
import { EngineRefusal, EngineUnreachable, isRefusal } from './engine.ts';
import type { Engine } from './engine.ts';
import type { Image } from './image.ts';
import { registryOf } from './image.ts';
import { PullProgress } from './pull-progress.ts';
import type { RegistryCredentials } from './registry-credentials.ts';

/** What pulling works with. */
export interface PullOptions {
  readonly engine: Engine;
  readonly credentials: (registry: string) => Promise<RegistryCredentials | undefined>;
  /** The whole pull with all its tries, ms. Default 15 minutes. */
  readonly totalMs?: number;
  /** Without any news, ms. Default 60,000. */
  readonly stallMs?: number;
  /** First pause before another try; doubles. Default 1,000 ms. */
  readonly retryMs?: number;
  /** Between lines about its progress, ms. Default 2,000. */
  readonly tellEveryMs?: number;
}

type Tell = (text: string) => void;

interface Pull {
  readonly done: Promise<void>;
  readonly listeners: Set<Tell>;
  readonly abort: AbortController;
}

const TRIES = 4;

/** The images of one engine. */
export class Images {
  private readonly pulls = new Map<string, Pull>();

  constructor(private readonly options: PullOptions) {}

  /** The image, pulled first when the policy says so. Rejects with LaunchFailure. `tell` hears of progress. */
  async ensure(
    reference: string,
    policy: 'missing' | 'always' | 'never',
    signal: AbortSignal,
    tell: Tell,
  ): Promise<Image> {
    if (policy !== 'always') {
      const image = await this.find(reference);
      if (image !== undefined) return image;
      if (policy === 'never')
        throw new LaunchFailure(
          `The image ${reference} is not on this machine, and the agent's definition says never to pull it (runtimes.docker.pull).`,
        );
    }
    await this.pull(reference, signal, tell);
    const image = await this.find(reference);
    if (image === undefined)
      throw new LaunchFailure(`The image ${reference} was pulled and is gone again.`, true);
    return image;
  }

  close(): void {
    for (const { abort } of this.pulls.values()) abort.abort();
  }

  private async find(reference: string): Promise<Image | undefined> {
    try {
      return await this.options.engine.json<Image>({
        path: `/images/${reference.split('/').map(encodeURIComponent).join('/')}/json`,
      });
    } catch (error) {
      if (isRefusal(error, 404)) return undefined;
      // Podman says so with 500.
      if (isRefusal(error, 400) || (isRefusal(error, 500) && /invalid reference/.test(error.reason)))
        throw new LaunchFailure(`"${reference}" is no name of an image.`);
      throw error;
    }
  }

  private pull(reference: string, signal: AbortSignal, tell: Tell): Promise<void> {
    let pull = this.pulls.get(reference);
    if (pull === undefined || pull.abort.signal.aborted) {
      pull = this.begin(reference);
      this.pulls.set(reference, pull);
    } else tell(`Waiting for the image ${reference}, which is being pulled already.`);
    const mine = pull;
    mine.listeners.add(tell);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal.removeEventListener('abort', giveUp);
        mine.listeners.delete(tell);
        if (mine.listeners.size === 0) mine.abort.abort(); // P3
      };
      const giveUp = (): void => {
        leave();
        reject(new LaunchFailure(`The launch was given up while the image ${reference} was being pulled.`));
      };
      if (signal.aborted) return giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      mine.done.then(resolve, reject).finally(leave);
    });
  }

  private begin(reference: string): Pull {
    const abort = new AbortController();
    const listeners = new Set<Tell>();
    const tell = (text: string): void => listeners.forEach((listener) => listener(text));
    const done = this.run(reference, abort.signal, tell).finally(() => {
      if (this.pulls.get(reference)?.abort === abort) this.pulls.delete(reference);
    });
    done.catch(() => undefined);
    return { done, listeners, abort };
  }

  private async run(reference: string, signal: AbortSignal, tell: Tell): Promise<void> {
    const { totalMs = 15 * 60_000, retryMs = 1_000 } = this.options;
    const total = AbortSignal.timeout(totalMs);
    const either = AbortSignal.any([signal, total]);
    await Promise.resolve(); // so that who asked first listens
    tell(`Pulling the image ${reference}.`);
    for (let attempt = 1; ; attempt += 1) {
      const trouble = await this.once(reference, either, tell);
      if (trouble === undefined) {
        tell(`Pulled the image ${reference}.`);
        return;
      }
      if (signal.aborted) throw new LaunchFailure(`The pull of the image ${reference} was given up.`);
      if (total.aborted)
        throw new LaunchFailure(
          `The image ${reference} was not pulled within ${seconds(totalMs)} (docker.pullTimeout); last: ${trouble.cause}`,
          true,
        );
      if (trouble.final) throw new LaunchFailure(`The image ${reference} cannot be pulled: ${trouble.cause}`);
      if (attempt === TRIES)
        throw new LaunchFailure(
          `The image ${reference} could not be pulled in ${TRIES} tries: ${trouble.cause}`,
          true,
        );
      const pause = retryMs * 2 ** (attempt - 1);
      tell(`The image ${reference} could not be pulled: ${trouble.cause} Trying again in ${seconds(pause)}.`);
      await paused(pause, either);
    }
  }

  private async once(reference: string, signal: AbortSignal, tell: Tell): Promise<Trouble | undefined> {
    const { engine, stallMs = 60_000, tellEveryMs = 2_000 } = this.options;
    const registry = registryOf(reference);
    const credentials = await this.options.credentials(registry).catch(() => undefined);
    let stream: IncomingMessage;
    try {
      stream = await engine.stream({
        method: 'POST',
        path: '/images/create',
        query: { fromImage: reference },
        ...(credentials !== undefined && { credentials }),
        signal,
        deadlineMs: stallMs,
      });
    } catch (error) {
      if (error instanceof EngineRefusal) return troubleIn(error.reason, registry);
      if (error instanceof EngineUnreachable && error.code === 'silent') return stalled(registry, stallMs);
      return { final: false, cause: (error as Error).message };
    }
    return new Promise((resolve) => {
      const progress = new PullProgress(reference, tell, tellEveryMs);
      let trouble: Trouble | undefined;
      let rest = '';
      let timer: NodeJS.Timeout;
      const give = (): void => void stream.destroy();
      const wind = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          trouble ??= stalled(registry, stallMs);
          give();
        }, stallMs);
      };
      wind();
      signal.addEventListener('abort', give, { once: true });
      stream.setEncoding('utf8');
      let isOver = false;
      stream.on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const news = parse(line);
          if (news?.error !== undefined) trouble ??= troubleIn(news.error, registry);
          // The same figure again is no progress: the engine repeats itself while nothing comes.
          else if (news !== undefined && progress.take(news)) wind();
        }
      });
      stream.once('end', () => (isOver = true));
      stream.once('close', () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', give);
        if (!isOver) trouble ??= { final: false, cause: 'the Docker engine broke off the pull.' };
        resolve(signal.aborted ? (trouble ?? { final: false, cause: 'it was given up.' }) : trouble);
      });
      if (signal.aborted) give();
    });
  }
}

interface Trouble {
  /** Another try would say the same. */
  readonly final: boolean;
  /** The rest of a sentence. */
  readonly cause: string;
}

function stalled(registry: string, ms: number): Trouble {
  return {
    final: false,
    cause: `nothing came from ${registry} for ${seconds(ms)} (docker.pullStallTimeout).`,
  };
}

/** The engine tells most failures by their text alone. */
export function troubleIn(text: string, registry: string): Trouble {
  const said = `"${text.trim().slice(0, 300)}"`;
  if (
    /unauthorized|denied|authentication required|no basic auth|incorrect username|forbidden|\b40[13]\b/i.test(
      text,
    )
  )
    return {
      final: true,
      cause: `${registry} refuses it (${said}); it does not exist, or \`docker login ${registry}\` is needed for the server's user.`,
    };
  if (
    /manifest unknown|manifest for .* not found|not found|does not exist|name unknown|no matching manifest|\b404\b/i.test(
      text,
    )
  )
    return { final: true, cause: `${registry} has no such image (${said}).` };
  if (/invalid reference|repository name must be/i.test(text))
    return { final: true, cause: `that is no name of an image (${said}).` };
  if (/no space left/i.test(text)) return { final: true, cause: `the engine's disk is full (${said}).` };
  if (/toomanyrequests|too many requests|\b429\b/i.test(text))
    return { final: false, cause: `${registry} says there were too many requests (${said}).` };
  return { final: false, cause: `${registry} cannot be reached or broke off (${said}).` };
}

function parse(line: string): (Record<string, unknown> & { error?: string }) | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 1_000)} s`;
}

function paused(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener('abort', over, { once: true });
    if (signal.aborted) over();
  });
}
