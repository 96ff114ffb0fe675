/**
 * Which addresses the server may call on somebody else's word. Checked when the connection is made, after DNS, so
 * that a name cannot be pointed elsewhere in between. Source: docs/wire.md, "Outgoing calls".
 */
import { BlockList, isIP } from 'node:net';

/** Loopback, kept apart because a server that is itself bound to loopback may call it. */
const LOOPBACK: readonly [string, number][] = [
  ['127.0.0.0', 8],
  ['::1', 128],
];

/** Private, link-local (metadata services among them), shared, documentation, multicast and reserved ranges. */
const SPECIAL: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
];

/** What the operator allows. */
export interface AddressPolicyOptions {
  readonly allowLoopback: boolean;
  /** The operator's exceptions: addresses, CIDR ranges or host names (exact, or `*.example.com`). */
  readonly allow: readonly string[];
}

/** Answers for one connection at a time; holds no state. */
export class AddressPolicy {
  private readonly refused = listOf(SPECIAL);
  private readonly loopback = listOf(LOOPBACK);
  private readonly allowed = new BlockList();
  private readonly names: readonly string[];

  constructor(private readonly options: AddressPolicyOptions) {
    const names: string[] = [];
    for (const entry of options.allow) {
      const [address = '', prefix] = entry.split('/');
      const family = isIP(address);
      if (family === 0) names.push(entry.toLowerCase());
      else if (prefix === undefined) this.allowed.addAddress(address, familyName(family));
      else this.allowed.addSubnet(address, Number(prefix), familyName(family));
    }
    this.names = names;
  }

  /** True when a host may be called at this address. `host` is the name (or address) in the URL. */
  permits(host: string, address: string): boolean {
    const plain = unmapped(address);
    const family = isIP(plain);
    if (family === 0) return false;
    const kind = familyName(family);
    if (this.names.some((name) => matchesName(name, host.toLowerCase()))) return true;
    if (this.allowed.check(plain, kind)) return true;
    if (this.loopback.check(plain, kind)) return this.options.allowLoopback;
    return !this.refused.check(plain, kind);
  }
}

function listOf(ranges: readonly [string, number][]): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, familyName(isIP(address)));
  return list;
}

function familyName(family: number): 'ipv4' | 'ipv6' {
  return family === 6 ? 'ipv6' : 'ipv4';
}

/** `::ffff:10.0.0.1` is 10.0.0.1, however it is spelled. */
function unmapped(address: string): string {
  const text = address.replace(/^\[|\]$/g, '').split('%')[0] ?? '';
  if (isIP(text) !== 6) return text;
  const url = new URL(`http://[${text}]`);
  const match = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(url.hostname);
  if (match === null) return text;
  const [high, low] = [parseInt(match[1] ?? '0', 16), parseInt(match[2] ?? '0', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function matchesName(name: string, host: string): boolean {
  return name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name;
}
