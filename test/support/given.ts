/** The language of rule tests: given facts, when asked, then facts (or a refusal). */
import { expect } from 'vitest';
import type { Command } from '../../src/domain/command.ts';
import { decide } from '../../src/domain/decide.ts';
import type { SessionEvent } from '../../src/domain/event.ts';
import { Refusal, type RefusalCode } from '../../src/domain/refusal.ts';
import { at, sessionOf } from './story.ts';

interface When {
  /** Exactly these facts follow; each is matched by the fields given. */
  then(...expected: readonly Partial<SessionEvent>[]): void;
  thenNothing(): void;
  /** Refused with this code and a sentence that says so. */
  thenRefused(code: RefusalCode, sentence?: RegExp): void;
}

/** Facts happen one second apart, from `at(1)` on; `when` is asked at `now` (default: one second after the last). */
export function given(...facts: readonly SessionEvent[]): { when(command: Command, now?: number): When } {
  return {
    when(command, now = at(facts.length + 1)) {
      const decision = decide(sessionOf(...facts), command, now);
      return {
        then(...expected) {
          if (decision instanceof Refusal) throw new Error(`refused: ${decision.message}`);
          expect(decision).toHaveLength(expected.length);
          expect(decision).toMatchObject(expected);
        },
        thenNothing() {
          expect(decision).toEqual([]);
        },
        thenRefused(code, sentence = /\w/) {
          expect(decision).toBeInstanceOf(Refusal);
          if (!(decision instanceof Refusal)) return;
          expect(decision.code).toBe(code);
          expect(decision.message).toMatch(sentence);
        },
      };
    },
  };
}
