/** What the engine tells of a network, and what follows from it. */
import { networkInterfaces } from 'node:os';
import { addressAt, blockOf } from './subnets.ts';
import type { Block } from './subnets.ts';

/** What the engine tells of a network; what is used of it. */
export interface NetworkFacts {
  readonly Id: string;
  readonly Name: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly IPAM?: {
    readonly Config?: readonly { readonly Subnet?: string; readonly Gateway?: string }[] | null;
  };
  readonly Options?: Readonly<Record<string, string>> | null;
  readonly Containers?: Readonly<Record<string, { readonly IPv4Address?: string }>> | null;
}

/** The engine does not always tell a network's gateway: then it is the bridge's address, or the subnet's first. */
export function gatewayOf({ IPAM, Options }: NetworkFacts): string | undefined {
  const told = IPAM?.Config?.map(({ Gateway }) => Gateway).find((one) => one?.includes('.'));
  if (told !== undefined) return told;
  const bridge = networkInterfaces()[Options?.['com.docker.network.bridge.name'] ?? ''];
  const own = bridge?.find(({ family }) => family === 'IPv4')?.address;
  if (own !== undefined) return own;
  const subnet = IPAM?.Config?.map(({ Subnet }) => blockOf(Subnet ?? '')).find((one) => one !== undefined);
  return subnet === undefined ? undefined : addressAt(subnet.from + 1);
}

/** The subnets it holds. */
export function subnetsOf({ IPAM }: NetworkFacts): Block[] {
  return (IPAM?.Config ?? [])
    .map(({ Subnet }) => blockOf(Subnet ?? ''))
    .filter((block) => block !== undefined);
}

/** Networks of this machine that the engine knows nothing of. */
export function interfaceBlocks(): Block[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ cidr }) => blockOf(cidr ?? ''))
    .filter((block) => block !== undefined);
}
