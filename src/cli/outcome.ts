/** How a session ended, gathered from its events, and what that means for the exit code of `coral run`. */
import type { WireEvent } from '../domain/wire/event.ts';
import type { ExitFacts } from '../domain/wire/session.ts';
import { isFailure } from './conversation.ts';
import { EXIT } from './exit-codes.ts';
import { count, span } from './text.ts';

type Cause = Extract<WireEvent, { type: 'session_ended' }>['cause'];

export class Outcome {
  /** Why the session ended; undefined while it runs, and when its server was lost. */
  cause: Cause | undefined;
  result: unknown;
  hasResult = false;
  /** How each agent ended last. */
  private readonly exits = new Map<string, ExitFacts>();
  private began: number | undefined;
  private ended: number | undefined;
  private closedBy: string | undefined;

  take(event: WireEvent): void {
    const time = Date.parse(event.timestamp);
    this.began ??= time;
    this.ended = time;
    switch (event.type) {
      case 'session_stopping':
        this.cause = event.cause;
        this.closedBy = event.by;
        if (event.result !== undefined) {
          this.result = event.result;
          this.hasResult = true;
        }
        return;
      case 'session_ended':
        this.cause = event.cause;
        return;
      case 'runtime_stopped':
        if (event.exit !== undefined) this.exits.set(event.name, event.exit);
        return;
      default:
    }
  }

  /** 0, 1 or 124; who was interrupted knows better. */
  exitCode(): number {
    if (this.cause === 'ttl') return EXIT.timedOut;
    if (this.cause === 'agent_request') return EXIT.ok;
    return this.cause === 'agents_exited' && this.failed().length === 0 ? EXIT.ok : EXIT.failed;
  }

  /** How it ended, in a sentence. */
  sentence(): string {
    const took =
      this.began === undefined || this.ended === undefined ? '' : ` after ${span(this.ended - this.began)}`;
    const failed = this.failed();
    const failures = failed.length === 0 ? '' : ` ${list(failed)} failed.`;
    switch (this.cause) {
      case 'agents_exited':
        return failed.length === 0
          ? `✓ ${count(this.exits.size, 'agent')} completed${took}.`
          : `✗ ${failed.length} of ${count(this.exits.size, 'agent')} failed${took}: ${failed.join(', ')}.`;
      case 'agent_request':
        return `✓ ${this.closedBy ?? 'An agent'} closed the session${took}.${failures}`;
      case 'ttl':
        return `✗ The session’s time (ttl) was up${took}.${failures}`;
      case 'requested':
        return `✗ The session was stopped by request${took}.${failures}`;
      case 'shutdown':
        return `✗ The server was shut down${took}.${failures}`;
      default:
        return `✗ The server was lost${took}: nobody saw how the session ended.`;
    }
  }

  /** For machines. */
  facts(): Record<string, unknown> {
    return {
      cause: this.cause,
      agents: Object.fromEntries(this.exits),
      ...(this.hasResult ? { result: this.result } : {}),
    };
  }

  private failed(): string[] {
    return [...this.exits].filter(([, exit]) => isFailure(exit)).map(([name]) => name);
  }
}

function list(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
