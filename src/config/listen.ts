/** Where an HTTP server listens, and what it demands of requests. */
import { isIP } from "node:net";

export interface ListenAddress {
  /** An IP address, or the name of a host. */
  readonly host: string;
  /** 0: a free port is chosen. */
  readonly port: number;
}

/** What an address must be, completing "must be". */
export const LISTEN_RULE =
  'an address and a port such as "127.0.0.1:9465", "[::1]:9465" or "0.0.0.0:9465", or a port alone, which is on 127.0.0.1';

const LOOPBACK = "127.0.0.1";
const MAX_PORT = 65_535;
const PORT_ONLY = /^\d{1,5}$/;
const WITH_HOST = /^(?:\[([0-9a-f:.%]+)\]|([A-Za-z0-9][A-Za-z0-9._-]{0,252})):(\d{1,5})$/i;

/** In place of an address in a configuration: there is no server, whatever a weaker source says. */
export const HTTP_OFF = "off";

/** What a token must be, completing "must be". */
export const TOKEN_RULE = "16 to 1024 printable ASCII characters without blanks";
const TOKEN = /^[!-~]{16,1024}$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** What a list of host names must be, completing "must be". */
export const HOSTS_RULE = 'a list of host names without a port, such as ["ops.example"]';

export function isHostName(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,253}$/.test(text);
}

/** `null`: the text is no such address. */
export function parseListenAddress(text: string): ListenAddress | null {
  if (PORT_ONLY.test(text)) return withPort(LOOPBACK, text);
  const [, v6, name, port = ""] = WITH_HOST.exec(text) ?? [];
  if (v6 !== undefined) return isIP(v6) === 6 ? withPort(v6, port) : null;
  // Only digits and dots: an address that is none, such as 127.0.0.256.
  if (name === undefined || (/^[\d.]+$/.test(name) && isIP(name) === 0)) return null;
  return withPort(name, port);
}

function withPort(host: string, port: string): ListenAddress | null {
  return Number(port) <= MAX_PORT ? { host, port: Number(port) } : null;
}

/** Can only this machine reach it? */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** As in a URL. */
export function addressText({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
