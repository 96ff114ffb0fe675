/** Containers that an earlier life of the server started. */
import type { Labels } from '../../domain/launch.ts';
import { secretsIn } from '../../domain/sealed.ts';
import type { Attachment, Observer } from '../../ports/runtime.ts';
import { lost } from '../ending.ts';
import { Watch } from '../watch.ts';
import type { Container } from './container.ts';
import { EngineRefusal } from './engine.ts';
import type { Engine } from './engine.ts';
import { labelsIn } from './spec.ts';

/** What is known of one. */
export interface Earlier {
  readonly id: string;
  readonly labels: Labels;
  /** Bytes. */
  readonly memory: number;
  /** What its environment holds under names that look secret: all that is known of its secrets by now. */
  readonly secrets: readonly string[];
}

interface Facts {
  readonly Id: string;
  readonly Config?: {
    readonly Labels?: Record<string, string> | null;
    readonly Env?: readonly string[] | null;
  };
  readonly HostConfig?: { readonly Memory?: number };
}

/** Nothing when it is gone, or not this instance's. An engine that does not answer is asked again, unless `strict`: then rejects. */
export async function findEarlier(
  engine: Engine,
  instance: string,
  id: string,
  strict: boolean,
): Promise<Earlier | undefined> {
  for (let tries = 0; ; tries += 1) {
    try {
      const facts = await engine.json<Facts>({ path: `/containers/${encodeURIComponent(id)}/json` });
      const labels = labelsIn(facts.Config?.Labels);
      if (labels?.instance !== instance) return undefined;
      const secrets = secretsIn(Object.fromEntries((facts.Config?.Env ?? []).map(variable)));
      return { id: facts.Id, labels, memory: facts.HostConfig?.Memory ?? 0, secrets };
    } catch (error) {
      if (error instanceof EngineRefusal && error.status < 500) return undefined;
      if (strict) throw error;
      const pause = Math.min(30_000, 500 * 2 ** Math.min(tries, 6));
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
    }
  }
}

/** `NAME=VALUE`. */
function variable(text: string): [string, string] {
  const end = text.indexOf('=');
  return [text.slice(0, end), text.slice(end + 1)];
}

/** Watches what is still being looked for: lost, when it is not found. */
export function attachLater(found: Promise<Container | undefined>, observer: Observer): Attachment {
  const watch = new Watch();
  const attachment = watch.attach(observer);
  let inner: Attachment | undefined;
  let isWanted = true;
  void found.then((container) => {
    if (!isWanted) return;
    if (container === undefined) {
      watch.end(lost('Nobody knows this container: it is gone, and nobody saw how it ended.'));
      return;
    }
    inner = container.attach({
      line: (line) => watch.line(line),
      dropped: (bytes) => watch.dropped(bytes),
      visible: (seen) => watch.visible(seen),
      noted: (fact) => watch.noted(fact),
    });
    void inner.ended.then((ending) => watch.end(ending));
  });
  return {
    ended: attachment.ended,
    detach: () => {
      isWanted = false;
      attachment.detach();
      inner?.detach();
    },
  };
}
