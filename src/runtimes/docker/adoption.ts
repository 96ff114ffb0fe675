/**
 * Containers that an earlier life of the server started are taken over: their door is opened again where they were
 * told of it, what they said meanwhile is read from the engine's logs, and from then on they are containers like all
 * others. All that is needed stands in the engine: nothing is remembered. A1: one container is taken over once,
 * whoever asks. A2: who cannot find the server any more is ended, and lost. A3: an engine that does not answer says
 * nothing; it is asked again.
 */
import type { Labels } from '../../domain/launch.ts';
import { secretsIn } from '../../domain/sealed.ts';
import type { Attachment, Observer } from '../../ports/runtime.ts';
import { lost } from '../ending.ts';
import type { OptionFiles } from '../option-files.ts';
import { Watch } from '../watch.ts';
import { Container } from './container.ts';
import type { ContainerParts } from './container-parts.ts';
import { isRefusal } from './engine.ts';
import type { Networks } from './networks.ts';
import { FOLDER_IN_CONTAINER, type SocketDoors } from './socket-door.ts';
import { LABEL, labelsIn } from './spec.ts';

/** What the runtime lends. */
export interface AdoptionParts extends Pick<
  ContainerParts,
  'engine' | 'watcher' | 'endings' | 'kept' | 'now' | 'output'
> {
  readonly instance: string;
  readonly networks: Networks;
  readonly sockets: SocketDoors;
  readonly files: OptionFiles;
  readonly known: (id: string) => Container | undefined;
  readonly keep: (container: Container) => void;
}

interface Facts {
  readonly Id: string;
  readonly State?: { readonly Status?: string };
  readonly Config?: {
    readonly Labels?: Record<string, string> | null;
    readonly Env?: readonly string[] | null;
  };
  readonly HostConfig?: { readonly Memory?: number; readonly NetworkMode?: string };
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, unknown>> | null };
  readonly Mounts?: readonly { readonly Source?: string; readonly Destination?: string }[] | null;
}

/** First pause before an engine that did not answer is asked again, and the longest, ms. */
const PAUSE = 500;
const LONGEST_PAUSE = 30_000;

/** See the top of the file. */
export class Adoption {
  private readonly underWay = new Map<string, Promise<Container | undefined>>();
  /** Those that somebody is about to watch: nobody ends them before. */
  private readonly awaited = new Map<string, Promise<void>>();
  private isClosed = false;

  constructor(private readonly parts: AdoptionParts) {}

  /** Watches it once it is taken over; lost, when it is gone. */
  attach(id: string, observer: Observer): Attachment {
    const watch = new Watch();
    const attachment = watch.attach(observer);
    let inner: Attachment | undefined;
    let isWanted = true;
    const attached = this.found(id, (seen) => watch.visible(seen)).then(async (container) => {
      await container?.recall(observer);
      if (!isWanted) return;
      if (container === undefined) {
        const kept = await this.parts.kept.find(id);
        watch.end(
          kept?.ending ?? lost('Nobody knows this container: it is gone, and nobody saw how it ended.'),
        );
        return;
      }
      inner = container.attach({
        line: (line) => watch.line(line),
        dropped: (bytes) => watch.dropped(bytes),
        visible: (seen) => watch.visible(seen),
        noted: (fact) => watch.noted(fact),
        kept: () => watch.kept(),
      });
      void container.look();
      void inner.ended.then((ending) => watch.end(ending));
    });
    this.awaited.set(id, attached);
    void attached.finally(() => this.awaited.delete(id));
    return {
      ended: attachment.ended,
      detach: () => {
        isWanted = false;
        attachment.detach();
        inner?.detach();
      },
    };
  }

  /** To be ended: nothing when it is gone, or not this instance's. Rejects when the engine cannot be asked. */
  async take(id: string): Promise<Container | undefined> {
    const container = await this.adopt(id);
    if (container !== undefined) await this.awaited.get(id);
    return container;
  }

  close(): void {
    this.isClosed = true;
  }

  /** A3 */
  private async found(id: string, visible: (seen: boolean) => void): Promise<Container | undefined> {
    for (let tries = 0; ; tries += 1) {
      try {
        const container = await this.adopt(id);
        if (tries > 0) visible(true);
        return container;
      } catch {
        if (tries === 0) visible(false);
        const pause = Math.min(LONGEST_PAUSE, PAUSE * 2 ** Math.min(tries, 6));
        await new Promise((resolve) => setTimeout(resolve, pause).unref());
        if (this.isClosed) await new Promise(() => undefined); // nobody asks any more
      }
    }
  }

  /** A1 */
  private adopt(id: string): Promise<Container | undefined> {
    const known = this.parts.known(id);
    if (known !== undefined) return Promise.resolve(known);
    let begun = this.underWay.get(id);
    if (begun === undefined) {
      begun = this.begin(id).finally(() => this.underWay.delete(id));
      this.underWay.set(id, begun);
    }
    return begun;
  }

  private async begin(id: string): Promise<Container | undefined> {
    const { engine, watcher, endings, kept, now, output, instance, files, keep } = this.parts;
    const facts = await engine
      .json<Facts>({ path: `/containers/${encodeURIComponent(id)}/json` })
      .catch((error: unknown) => {
        if (isRefusal(error, 400, 404)) return undefined;
        throw error;
      });
    const labels = labelsIn(facts?.Config?.Labels);
    if (facts === undefined || labels?.instance !== instance) return undefined;
    const door = await this.openDoor(facts, labels);
    const container = new Container({
      engine,
      watcher,
      endings,
      kept,
      now,
      id: facts.Id,
      labels,
      secrets: secretsIn(Object.fromEntries((facts.Config?.Env ?? []).map(variable))),
      memory: facts.HostConfig?.Memory ?? 0,
      isEarlier: true,
      ...(output !== undefined && { output }),
      release: async () => {
        await door.close();
        await files.remove(labels);
      },
    });
    keep(container);
    await container.begin();
    if (door.lost !== undefined) container.forsake(door.lost); // A2
    return container;
  }

  /** Where it was told to look for the server; what has ended only gives back what it had. */
  private async openDoor(facts: Facts, labels: Labels): Promise<{ lost?: string; close(): Promise<void> }> {
    const { sockets, networks } = this.parts;
    const isAlive = facts.State?.Status === 'running' || facts.State?.Status === 'paused';
    const network = networkOf(facts);
    if (network !== 'none') {
      const told = facts.Config?.Labels?.[LABEL.door];
      const joined = await networks.rejoin(network, isAlive ? told : undefined);
      const isLost = isAlive && joined.lost !== undefined;
      return { ...(isLost && { lost: joined.lost }), close: () => joined.leave() };
    }
    const folder = facts.Mounts?.find(({ Destination }) => Destination === FOLDER_IN_CONTAINER)?.Source;
    const nothing = { close: async () => sockets.remove(labels) };
    if (!isAlive || folder === undefined) return nothing;
    try {
      return (await sockets.reopen(folder)) ?? nothing;
    } catch (error) {
      return {
        ...nothing,
        lost: `The socket it looks for the server at could not be opened again: ${(error as Error).message}`,
      };
    }
  }
}

/** Podman calls every network a bridge there, and names it elsewhere. */
function networkOf({ HostConfig, NetworkSettings }: Facts): string {
  const mode = HostConfig?.NetworkMode ?? 'none';
  return mode === 'bridge' ? (Object.keys(NetworkSettings?.Networks ?? {})[0] ?? mode) : mode;
}

/** `NAME=VALUE`. */
function variable(text: string): [string, string] {
  const end = text.indexOf('=');
  return [text.slice(0, end), text.slice(end + 1)];
}
