/** Going on in the logs of a container that lives on after its attached stream was cut. */
import type { IncomingMessage } from 'node:http';
import type { Line } from '../../ports/runtime.ts';
import type { Mask } from '../ending.ts';
import { heardOf, keyOf } from './catch-up.ts';
import type { LogLine } from './catch-up.ts';
import type { Engine } from './engine.ts';
import { FrameParser } from './frames.ts';
import type { ContainerOutput } from './output.ts';

/**
 * `follow`: until the container ends; else what there is. `mask`: what was done to lines before they were kept. Rejects
 * when the engine cannot be asked.
 */
export async function resumeFromLogs(
  engine: Engine,
  id: string,
  output: ContainerOutput,
  { follow, mask }: { readonly follow: boolean; readonly mask: Mask },
): Promise<void> {
  const { memory } = output;
  const logs = (following: boolean): Promise<IncomingMessage> => {
    const since = memory.since();
    return engine.stream({
      path: `/containers/${id}/logs`,
      query: {
        stdout: 1,
        stderr: 1,
        timestamps: 1,
        follow: following ? 1 : 0,
        ...(since !== undefined && { since }),
      },
    });
  };
  let skip: Record<Line['io'], number> | undefined;
  if (memory.stamp === undefined && (memory.isRecalled || !memory.isWhole)) {
    const log: Record<Line['io'], LogLine[]> = { out: [], error: [] };
    await readWhole(await logs(false), (io, line) => {
      const said = keyOf(line);
      const kept = memory.isRecalled ? keyOf(Buffer.from(mask(line.toString('utf8')))) : said;
      log[io].push(said === kept ? [said] : [said, kept]);
    });
    skip = heardOf(memory, log);
  }
  output.resume(await logs(follow), skip);
}

/** Reads a log with timestamps to its end. */
function readWhole(stream: IncomingMessage, take: (io: Line['io'], line: Buffer) => void): Promise<void> {
  const parts: Record<Line['io'], Buffer[]> = { out: [], error: [] };
  let frame: Buffer[] = [];
  const parser = new FrameParser((io, bytes, last) => {
    frame.push(Buffer.from(bytes));
    if (!last) return;
    const entry = Buffer.concat(frame);
    frame = [];
    const text = entry.subarray(entry.indexOf(0x20) + 1);
    parts[io].push(text);
    if (text.at(-1) !== 0x0a) return;
    take(io, Buffer.concat(parts[io]).subarray(0, -1));
    parts[io] = [];
  });
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => parser.push(chunk));
    stream.once('close', resolve);
  });
}
