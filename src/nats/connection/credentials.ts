/** Authentication of a connection. No secret leaves this file except to nats.js. */
import { readFileSync } from "node:fs";
import {
  type Authenticator,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
} from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";

/** At most one method; user and password may also be part of a server's URL. */
export interface Credentials {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
  /** Seed of an nkey (`SU...`); with `jwt`, the seed of the user in the JWT. */
  readonly nkeySeed?: string;
  readonly jwt?: string;
  /** Path of a `.creds` file. Read again at every reconnect, so the file can be replaced at any time. */
  readonly credsFile?: string;
  /** The text of a `.creds` file. */
  readonly creds?: string;
}

/**
 * The authenticator for nats.js; `null` for none, or for user, password or token.
 * @throws ClusterError `INVALID_CONFIG`: credentials that cannot work, before the first dial
 */
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
 * nats.js closes a connection whose authenticator throws. A file that is missing or half-written at a reconnect must not
 * cause that, so the previous content is used again and the file is read at the next attempt.
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
      // the previous content is used
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
