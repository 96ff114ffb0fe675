/** Choosing small subnets: the engine's own pools end after some thirty networks. */

export interface Block {
  /** First address as a number. */
  readonly from: number;
  /** Last address. */
  readonly to: number;
}

/** 14 containers and the gateway. */
const SIZE = 16;
const PREFIX = 28;

/** `10.209.0.0/16` as a block; nothing when it is no IPv4 block. */
export function blockOf(cidr: string): Block | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  if (match === null) return undefined;
  const [a, b, c, d, bits] = match.slice(1).map(Number) as [number, number, number, number, number];
  if ([a, b, c, d].some((part) => part > 255) || bits > 32) return undefined;
  const size = 2 ** (32 - bits);
  const address = ((a * 256 + b) * 256 + c) * 256 + d;
  const from = Math.floor(address / size) * size;
  return { from, to: from + size - 1 };
}

/** Every /28 of a pool that overlaps with nothing taken, beginning at a place of the caller's choice (0 to 1). */
export function* freeSubnets(pool: Block, taken: readonly Block[], start: number): Generator<string> {
  const count = Math.floor((pool.to - pool.from + 1) / SIZE);
  const first = Math.floor(start * count);
  for (let n = 0; n < count; n += 1) {
    const from = pool.from + ((first + n) % count) * SIZE;
    const to = from + SIZE - 1;
    if (taken.every((block) => to < block.from || from > block.to)) yield `${addressAt(from)}/${PREFIX}`;
  }
}

/** An address as people write it. */
export function addressAt(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
