/** Log lines as a socket carries them. Under a flood they are many, so nothing is made twice that lines have in common. */
import { isoTime } from '../domain/view.ts';
import type { LogLine } from '../engine/log-hub.ts';
import { textFrames } from './socket-frame.ts';

/** Makes frames for one reader. */
export class LogFrames {
  private readonly tags = new WeakMap<LogLine['origin'], string>();
  private time = NaN;
  private iso = '';

  /** `numbered`: each line says its number, as `seq`. */
  constructor(private readonly numbered: boolean) {}

  /** One frame each: a LogEvent in JSON. */
  of(lines: readonly LogLine[]): Buffer {
    return textFrames(lines.map((line) => this.json(line)));
  }

  private json({ number, origin, time, text }: LogLine): string {
    let tags = this.tags.get(origin);
    if (tags === undefined) this.tags.set(origin, (tags = JSON.stringify(origin.tags)));
    if (time !== this.time) {
      this.time = time;
      this.iso = isoTime(time);
    }
    const { type } = origin;
    const seq = this.numbered ? `,"seq":${digits(number)}` : '';
    const more = type === 'error' ? ',"exceptionStackTrace":[]' : '';
    return `{"type":"${type}","text":${JSON.stringify(text)},"tags":${tags},"timestamp":"${this.iso}"${seq}${more}}`;
  }
}

/** In two halves: whole numbers, each of which is another one, would be remembered by the engine as strings. */
function digits(number: number): string {
  const high = Math.floor(number / 10_000);
  return high === 0 ? String(number) : `${high}${String(number % 10_000).padStart(4, '0')}`;
}
