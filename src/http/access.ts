/** Who may ask: the token of a request, and the host that it names. */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** A token is compared by its hash: the time that this takes says nothing about it, not even its length. */
export class Token {
  readonly #hash: Buffer;

  constructor(token: string) {
    this.#hash = hashOf(token);
  }

  /** `Bearer TOKEN`; or `Basic` with the token as the password, which browsers ask for and remember. */
  isIn(authorization: string | null): boolean {
    const [, scheme = "", value = ""] = /^(bearer|basic) +([^ ]+) *$/i.exec(authorization ?? "") ?? [];
    if (scheme === "") return false;
    const given = scheme.toLowerCase() === "bearer" ? value : passwordIn(value);
    return timingSafeEqual(hashOf(given), this.#hash);
  }
}

/** For the answer to a request without the token. */
export const CHALLENGE = 'Bearer realm="nats-leader", Basic realm="nats-leader"';

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function passwordIn(base64: string): string {
  const login = Buffer.from(base64, "base64").toString("utf8");
  return login.slice(login.indexOf(":") + 1);
}

/**
 * A page of another site can make a browser send requests here, under a name of that site which it lets resolve to this address, and read
 * the answers ("DNS rebinding"). Such a name has a dot: addresses, `localhost` and names without a dot are none. In a local network, whose
 * search domain completes names, one without a dot may be of another machine, too: that is not enough for a request that changes something.
 *
 * @param hostname - As in `URL.hostname`.
 * @param allowed - Other names, in lower case.
 */
export function isHostAllowed(hostname: string, allowed: ReadonlySet<string>, mayChange: boolean): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0 || host === "localhost" || allowed.has(host)) return true;
  return !mayChange && (!host.includes(".") || host.endsWith(".localhost"));
}
