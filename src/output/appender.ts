/**
 * Appends texts to files by way of buffers that are used again: under a flood, a buffer for each write would be
 * garbage faster than it is collected, and the process would never give that memory back.
 */
import { open } from 'node:fs/promises';

/** Bytes of a buffer: longer than any line in a file of output. */
const SIZE = 256 * 1024;
/** Buffers kept for the next writes; when more are written at once, those are forgotten. */
const KEPT = 4;

/** Writes for everybody who shares it. */
export class Appender {
  private readonly spare: Buffer[] = [];

  /** Makes the file (0600) if it is not there. Rejects as the file system does; some of it may be written then. */
  async append(path: string, texts: readonly string[]): Promise<void> {
    const buffer = this.spare.pop() ?? Buffer.allocUnsafeSlow(SIZE);
    try {
      const file = await open(path, 'a', 0o600);
      try {
        let used = 0;
        const write = async (): Promise<void> => {
          for (let done = 0; done < used;) {
            done += (await file.write(buffer, done, used - done)).bytesWritten;
          }
          used = 0;
        };
        for (const text of texts) {
          // No character takes more than three bytes per UTF-16 unit.
          if (text.length * 3 > SIZE - used) await write();
          if (text.length * 3 <= SIZE) used += buffer.write(text, used);
          else await file.appendFile(text);
        }
        await write();
      } finally {
        await file.close();
      }
    } finally {
      if (this.spare.length < KEPT) this.spare.push(buffer);
    }
  }
}
