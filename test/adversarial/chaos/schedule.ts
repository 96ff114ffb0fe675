/** What happens in a run of chaos, and when: sessions and faults, all of it from one seed. Pure. */

/** How one agent of a session runs. */
export type Kind = 'executable' | 'stubborn' | 'scripted' | 'docker';

/** One agent of a session. */
export interface PlannedAgent {
  readonly name: string;
  readonly kind: Kind;
  readonly restart: 'never' | 'on_failure' | 'always';
}

/** One session and what is done in it. */
export interface PlannedSession {
  /** ms from the beginning. */
  readonly at: number;
  /** The first two are executables and talk with each other. */
  readonly agents: readonly PlannedAgent[];
  readonly messages: number;
  /** Between two messages, ms. */
  readonly pause: number;
  /** Ends by it, ms; absent: it is closed when all is said. */
  readonly ttl?: number;
  /** Held after its end, ms. */
  readonly hold: number;
  /** One of its agents is told to leave, with this code. */
  readonly leaves?: number;
}

/** Who is hit. */
export type Target = 'server' | 'keeper' | 'server and keeper' | 'agent' | 'docker';

/** One fault. */
export type Fault =
  | { readonly at: number; readonly type: 'kill'; readonly target: Target }
  /** SIGSTOP, and SIGCONT after `for` ms. */
  | {
      readonly at: number;
      readonly type: 'freeze';
      readonly target: Exclude<Target, 'server and keeper'>;
      readonly for: number;
    }
  /** The disk of the state folder is full for `for` ms. */
  | { readonly at: number; readonly type: 'full disk'; readonly for: number };

/** What the machine lets us do. */
export interface Means {
  readonly docker: boolean;
  readonly disk: boolean;
}

/** A whole run. */
export interface Schedule {
  readonly sessions: readonly PlannedSession[];
  readonly faults: readonly Fault[];
}

/** Mean pause between two sessions and between two faults, ms. */
const SESSIONS_EVERY = 1_500;
const FAULTS_EVERY = 2_500;
/** Nothing new begins this long before the end, ms. */
const LAST = 3_000;

/** The run of a seed: the same each time. */
export function scheduleOf(seed: number, length: number, means: Means): Schedule {
  const sessions = new Dice(seed);
  const faults = new Dice(seed ^ 0x5eed_fa17);
  return {
    sessions: sessions.moments(SESSIONS_EVERY, length - LAST).map((at) => sessionAt(at, sessions, means)),
    faults: faults.moments(FAULTS_EVERY, length - LAST).map((at) => faultAt(at, faults, means)),
  };
}

function sessionAt(at: number, dice: Dice, { docker }: Means): PlannedSession {
  const kinds: Kind[] = ['executable', 'executable', 'stubborn', 'scripted', 'scripted', 'docker'];
  const others = Array.from({ length: dice.upTo(3) }, () => dice.one(kinds));
  const agents = ['executable' as const, 'executable' as const, ...others].map((kind, index) => ({
    name: `agent-${index + 1}`,
    kind: kind === 'docker' && !docker ? ('scripted' as const) : kind,
    restart: dice.one(['never', 'on_failure', 'on_failure', 'always'] as const),
  }));
  return {
    at,
    agents,
    messages: 1 + dice.upTo(12),
    pause: dice.upTo(400),
    hold: dice.one([0, 0, 500]),
    ...(dice.upTo(5) === 0 && { ttl: 1_000 + dice.upTo(5_000) }),
    ...(dice.upTo(3) === 0 && { leaves: dice.one([0, 0, 1, 3]) }),
  };
}

function faultAt(at: number, dice: Dice, means: Means): Fault {
  const kills: Target[] = ['server', 'server', 'server', 'keeper', 'server and keeper', 'agent', 'agent'];
  const freezes = ['server', 'keeper', 'agent'] as const;
  const lasts = 100 + dice.upTo(2_500);
  const roll = dice.upTo(10);
  // The same number of rolls whatever the machine lets us do.
  const kill = dice.one(kills);
  const freeze = dice.one(freezes);
  const isDocker = dice.upTo(6) === 0;
  if (roll === 0 && means.disk) return { at, type: 'full disk', for: lasts };
  if (roll < 7) return { at, type: 'kill', target: isDocker && means.docker ? 'docker' : kill };
  return { at, type: 'freeze', target: isDocker && means.docker ? 'docker' : freeze, for: lasts };
}

/** Numbers that look random and follow from a seed (mulberry32). */
export class Dice {
  constructor(private state: number) {}

  /** Between 0 (inclusive) and 1 (exclusive). */
  roll(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below. */
  upTo(below: number): number {
    return Math.floor(this.roll() * below);
  }

  one<T>(of: readonly T[]): T {
    return of[this.upTo(of.length)]!;
  }

  /** Moments with this mean pause between them, until `end`. */
  moments(every: number, end: number): number[] {
    const found: number[] = [];
    for (let at = this.upTo(every); at < end; at += 1 + this.upTo(2 * every)) found.push(at);
    return found;
  }
}
