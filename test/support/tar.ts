/** A tar archive in memory: files, folders and links, all owned by root. */
export type Entry =
  | { readonly path: string; readonly folder: true; readonly mode?: number }
  | { readonly path: string; readonly link: string }
  | { readonly path: string; readonly data: Buffer | string; readonly mode?: number };

export function tar(entries: readonly Entry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const data = 'data' in entry ? Buffer.from(entry.data) : Buffer.alloc(0);
    const head = Buffer.alloc(512);
    const [name, prefix] = split(entry.path);
    head.write(name, 0);
    head.write(octal('link' in entry ? 0o777 : (entry.mode ?? ('folder' in entry ? 0o755 : 0o644)), 7), 100);
    head.write(octal(0, 7), 108);
    head.write(octal(0, 7), 116);
    head.write(octal(data.length, 11), 124);
    head.write(octal(0, 11), 136);
    head.write('        ', 148);
    head.write('link' in entry ? '2' : 'folder' in entry ? '5' : '0', 156);
    if ('link' in entry) head.write(entry.link, 157);
    head.write('ustar\u000000', 257);
    head.write(prefix, 345);
    head.write(
      `${head
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    blocks.push(head, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width, '0')}\0`;
}

function split(path: string): [string, string] {
  if (Buffer.byteLength(path) <= 100) return [path, ''];
  const at = path.lastIndexOf('/', path.length - 1 - (path.length - 100 > 0 ? 0 : 0));
  const cut = path.indexOf('/', path.length - 101);
  const place = cut > 0 ? cut : at;
  return [path.slice(place + 1), path.slice(0, place)];
}
