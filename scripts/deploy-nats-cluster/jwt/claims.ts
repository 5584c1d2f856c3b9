/** JSON Web Tokens of NATS, signed by nkeys (ADR-14): an operator signs accounts, an account signs its users. Pure. */
import { createHash } from "node:crypto";
import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";
import type { Permissions } from "../../../src/nats/permissions.ts";

const VERSION = 2;
/** -1: no limit. */
const UNLIMITED = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** A token, and the key of its subject. */
export interface Signed {
  readonly jwt: string;
  readonly key: KeyPair;
}

export function issueOperator(name: string, systemAccount: string, now: number): Signed {
  const key = createOperator();
  return { key, jwt: sign(key, key, name, now, { type: "operator", system_account: systemAccount }) };
}

export function newAccountKey(): KeyPair {
  return createAccount();
}

export function issueAccount(
  operator: KeyPair,
  account: KeyPair,
  name: string,
  { jetstream }: { readonly jetstream: boolean },
  now: number,
): Signed {
  const limits = { ...UNLIMITED, ...(jetstream ? JETSTREAM : {}) };
  return { key: account, jwt: sign(operator, account, name, now, { type: "account", limits }) };
}

/** @param permissions `null`: all subjects of the account. */
export function issueUser(
  account: KeyPair,
  name: string,
  permissions: Pick<Permissions, "publish" | "subscribe"> | null,
  now: number,
): Signed {
  const key = createUser();
  const allowed =
    permissions === null
      ? { pub: {}, sub: {} }
      : { pub: { allow: permissions.publish }, sub: { allow: permissions.subscribe } };
  const claims = { type: "user", ...allowed, subs: -1, data: -1, payload: -1 };
  return { key, jwt: sign(account, key, name, now, claims) };
}

/** The text of a credentials file. */
export function credsOf({ jwt, key }: Signed): string {
  const seed = new TextDecoder().decode(key.getSeed());
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
}

/** @param now Unix milliseconds. */
function sign(issuer: KeyPair, subject: KeyPair, name: string, now: number, nats: object): string {
  const claims = {
    iat: Math.floor(now / 1000),
    iss: issuer.getPublicKey(),
    name,
    sub: subject.getPublicKey(),
    nats: { ...nats, version: VERSION },
  };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex");
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({ jti, ...claims })}`;
  const signature = issuer.sign(new TextEncoder().encode(signed));
  return `${signed}.${Buffer.from(signature).toString("base64url")}`;
}
