/** The address at which a server listens. */
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
