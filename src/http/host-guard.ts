/**
 * Keeps web pages away from a server that only this machine should reach: against DNS rebinding by the Host header,
 * against foreign pages by the Origin header. Both doors use it. Source: docs/wire.md, "Host and Origin".
 */
import type { IncomingHttpHeaders } from 'node:http';

/** How the server is bound and reached. */
export interface HostGuardConfig {
  readonly bindAddress: string;
  /** How the server is reached from outside: a host name, `host:port` or URL. */
  readonly externalAddress?: string | undefined;
  readonly trustProxy: boolean;
  /** Every Host and every Origin may come. */
  readonly allowAnyHost: boolean;
}

/** Why a request is turned away. Always 403. */
export interface TurnedAway {
  readonly code: 'forbidden_host' | 'forbidden_origin';
  readonly message: string;
}

/** Decides which requests may come in at all. */
export interface HostGuard {
  /** Undefined when the request may pass. */
  check(request: {
    readonly method?: string | undefined;
    readonly headers: IncomingHttpHeaders;
  }): TurnedAway | undefined;
  /** True without an Origin, and with the Origin of a page that this server itself served. */
  sameOrigin(headers: IncomingHttpHeaders): boolean;
  /** True when the external address is https and the request came for it: a proxy in front of us speaks TLS. */
  securedBy(headers: IncomingHttpHeaders): boolean;
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** The guard for a server that is bound and reached as `config` says. */
export function hostGuard(config: HostGuardConfig): HostGuard {
  const external = config.externalAddress === undefined ? undefined : hostOf(config.externalAddress);
  const local = isLoopback(hostOf(config.bindAddress)?.name ?? config.bindAddress);

  /** What the request says we are called. */
  const ownHosts = (headers: IncomingHttpHeaders): (HostName | undefined)[] => {
    const forwarded = config.trustProxy ? first(headers['x-forwarded-host']) : undefined;
    return [headers.host, forwarded].map((text) => (text === undefined ? undefined : hostOf(text)));
  };

  const sameOrigin = (headers: IncomingHttpHeaders): boolean => {
    if (headers.origin === undefined) return true;
    const origin = hostOf(headers.origin);
    if (origin === undefined || headers.origin === 'null') return false;
    return (
      ownHosts(headers).some(
        (host) => host !== undefined && host.name === origin.name && port(host) === port(origin),
      ) ||
      (external !== undefined &&
        external.name === origin.name &&
        (external.port === '' || port(external) === port(origin)))
    );
  };

  // Nearly every request names the host that the one before named.
  let lastNamed: string | undefined;
  const namesUs = (text: string): boolean => {
    if (text === lastNamed) return true;
    const host = hostOf(text);
    if (host === undefined || !(isLoopback(host.name) || host.name === external?.name)) return false;
    lastNamed = text;
    return true;
  };

  return {
    sameOrigin,
    securedBy: (headers) =>
      config.externalAddress?.toLowerCase().startsWith('https://') === true &&
      ownHosts(headers).some((host) => host?.name === external?.name),
    check({ method, headers }) {
      if (config.allowAnyHost) return undefined;
      if (local && headers.host !== undefined && !namesUs(headers.host)) {
        return {
          code: 'forbidden_host',
          message:
            'This server answers to this machine only, and the Host header names another; use localhost, or set network.externalAddress or network.allowAnyHost.',
        };
      }
      if (!SAFE_METHODS.has(method ?? 'GET') && !sameOrigin(headers)) {
        return {
          code: 'forbidden_origin',
          message:
            'Pages of other origins may not change anything here; set network.allowAnyHost if this one should.',
        };
      }
      return undefined;
    },
  };
}

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[|\]$/g, '');
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === '::1' ||
    /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}

interface HostName {
  readonly name: string;
  readonly port: string;
}

/** Host and port of `host`, `host:port` or a URL; undefined when it is none. */
function hostOf(text: string): HostName | undefined {
  const bare = /^[0-9a-f:.]+$/i.test(text) && text.split(':').length > 2 ? `[${text}]` : text;
  try {
    const url = new URL(text.includes('://') ? text : `http://${bare}`);
    return url.hostname === '' ? undefined : { name: url.hostname.toLowerCase(), port: url.port };
  } catch {
    return undefined;
  }
}

/** A Host header leaves out the port that its scheme implies, and does not say which scheme. */
function port(host: HostName): string {
  return host.port === '443' || host.port === '80' ? '' : host.port;
}

function first(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  return text?.split(',')[0]?.trim();
}
