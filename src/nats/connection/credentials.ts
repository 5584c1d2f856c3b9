/** How a connection proves who it is. Secrets are read here and shown nowhere. */
import { readFileSync } from "node:fs";
import {
  type Authenticator,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
} from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";

/** At most one way; user and password may also stand in a server's url. */
export interface Credentials {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Seed of an nkey (`SU...`); with `jwt`, the seed that signs for it. */
  readonly nkeySeed?: string;
  readonly jwt?: string;
  /** Path of a `.creds` file. Read again at every reconnect, so it can be rotated in place. */
  readonly credsFile?: string;
  /** The text of a `.creds` file. */
  readonly creds?: string;
}

/** What nats.js is told. Rejects with `INVALID_CONFIG` what can't work, before anything is dialled. */
export function authenticatorOf(credentials: Credentials): Authenticator | null {
  const { nkeySeed, jwt, creds, credsFile } = credentials;
  const ways = [credsFile, creds, jwt ?? nkeySeed, credentials.token, credentials.user];
  if (ways.filter((way) => way !== undefined).length > 1) {
    throw invalid("give one of credsFile, creds, jwt/nkeySeed, token and user/pass, not several");
  }
  if (credsFile !== undefined) return credsFileAuthenticator(credsFile);
  if (creds !== undefined) return checked(credsAuthenticator(encode(creds)), "creds");
  if (nkeySeed !== undefined) checkSeed(nkeySeed);
  if (jwt !== undefined) return jwtAuthenticator(jwt, nkeySeed === undefined ? undefined : encode(nkeySeed));
  if (nkeySeed !== undefined) return nkeyAuthenticator(encode(nkeySeed));
  return null;
}

/**
 * A file that is missing or half-written at a reconnect must not end the connection (nats.js closes it when an
 * authenticator throws): the last content that worked is tried again, and the file at the next attempt.
 */
function credsFileAuthenticator(path: string): Authenticator {
  const read = (): Authenticator => checked(credsAuthenticator(readFileSync(path)), `credsFile "${path}"`);
  let last: Authenticator;
  try {
    last = read();
  } catch (error) {
    if (error instanceof ClusterError) throw error;
    throw invalid(`credsFile "${path}" cannot be read: ${messageOf(error)}`, error);
  }
  return (nonce) => {
    try {
      last = read();
    } catch {
      // see above
    }
    return last(nonce);
  };
}

function checked(authenticator: Authenticator, what: string): Authenticator {
  try {
    authenticator("nonce");
  } catch (error) {
    throw invalid(`${what} is not a NATS credentials file (a user JWT and an nkey seed)`, error);
  }
  return authenticator;
}

function checkSeed(seed: string): void {
  try {
    nkeys.fromSeed(encode(seed));
  } catch (error) {
    throw invalid('nkeySeed is not the seed of an nkey (it starts with "SU")', error);
  }
}

function invalid(message: string, cause?: unknown): ClusterError {
  return new ClusterError("INVALID_CONFIG", message, cause === undefined ? {} : { cause });
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
