/** Certificates and passwords of a secured deployment, created once and kept in the state folder, readable by its owner only. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "../../src/system/find-program.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { DeployError } from "./errors.ts";
import { writeWhole } from "./write-whole.ts";

const OPENSSL_TIMEOUT_MS = 60_000;

/** Users of `examples/nats-cluster/accounts.conf`. */
export const USERS = ["node", "node_a", "observer", "operator", "application", "admin", "system"] as const;
export type User = (typeof USERS)[number];
export type Passwords = Readonly<Record<User, string>>;

const VALID_DAYS = 365;
const AUTHORITY_DAYS = 3650;
/** The next `up` replaces a certificate that expires sooner. */
const RENEW_BEFORE_S = 30 * 24 * 3600;

export function variableOf(user: User): string {
  return `${user.toUpperCase()}_PASSWORD`;
}

/** The passwords in `file`, created if it is missing. One `NAME=value` per line, which Compose and a shell can read. */
export async function ensurePasswords(file: string): Promise<Passwords> {
  return existsSync(file) ? readPasswords(file) : renewPasswords(file, USERS);
}

/** Creates new passwords for these users and keeps those of the others. */
export async function renewPasswords(file: string, users: readonly User[]): Promise<Passwords> {
  const old = existsSync(file) ? await readPasswords(file) : undefined;
  // Starts with a letter and has no special characters: nats-server would parse digits as a number, Compose would expand $.
  const fresh = (): string => `pw${randomBytes(24).toString("hex")}`;
  const all = Object.fromEntries(
    USERS.map((user) => [user, old === undefined || users.includes(user) ? fresh() : old[user]]),
  ) as Record<User, string>;
  const lines = USERS.map((user) => `${variableOf(user)}=${all[user]}`);
  await writeWhole(file, `${lines.join("\n")}\n`, 0o600);
  return all;
}

export async function readPasswords(file: string): Promise<Passwords> {
  const text = await readFile(file, "utf8");
  const found = new Map(
    [...text.matchAll(/^(\w+)=(\S+)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const missing = USERS.filter((user) => !found.has(variableOf(user)));
  if (missing.length > 0)
    throw new DeployError(
      `${file} lacks ${missing.map(variableOf).join(", ")}: add them, or delete the file`,
    );
  return Object.fromEntries(USERS.map((user) => [user, found.get(variableOf(user)) ?? ""])) as Record<
    User,
    string
  >;
}

/**
 * Creates an authority and a certificate for each server in `dir`, valid for localhost, 127.0.0.1 and the server's name.
 * Keeps certificates that are valid for another 30 days. Resolves with the names of the created ones.
 */
export async function ensureCertificates(dir: string, servers: readonly string[]): Promise<string[]> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const made: string[] = [];
  if (!(await isValid(dir, "ca"))) {
    // Certificates of a previous authority are no longer trusted.
    await rm(dir, { recursive: true });
    await mkdir(dir, { mode: 0o700 });
    await makeAuthority(dir);
    made.push("ca");
  }
  for (const name of servers) {
    if (await isValid(dir, name)) continue;
    await makeCertificate(dir, name);
    made.push(name);
  }
  return made;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

async function makeAuthority(dir: string): Promise<void> {
  const days = ["-days", String(AUTHORITY_DAYS)];
  const names = ["-subj", "/CN=nats-leader servers", "-addext", "basicConstraints=critical,CA:true"];
  await openssl(dir, ["req", "-x509", ...NEW_KEY, ...days, ...names, "-keyout", "ca.key", "-out", "ca.pem"]);
  await chmod(join(dir, "ca.key"), 0o600);
}

async function makeCertificate(dir: string, name: string): Promise<void> {
  const [key, request, extensions] = [`${name}.key`, `${name}.csr`, `${name}.ext`];
  await openssl(dir, ["req", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", key, "-out", request]);
  await chmod(join(dir, key), 0o600);
  const use = [
    `subjectAltName=DNS:${name},DNS:localhost,IP:127.0.0.1`,
    "extendedKeyUsage=serverAuth,clientAuth", // either side of a route may dial
    "basicConstraints=critical,CA:false",
  ];
  await writeFile(join(dir, extensions), `${use.join("\n")}\n`);
  const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", String(VALID_DAYS)];
  await openssl(dir, ["x509", "-req", "-in", request, ...by, "-extfile", extensions, "-out", `${name}.pem`]);
  await Promise.all([request, extensions].map((file) => rm(join(dir, file))));
}

async function isValid(dir: string, name: string): Promise<boolean> {
  if (![`${name}.pem`, `${name}.key`].every((file) => existsSync(join(dir, file)))) return false;
  return openssl(dir, ["x509", "-noout", "-checkend", String(RENEW_BEFORE_S), "-in", `${name}.pem`]).then(
    () => true,
    (error: unknown) => {
      if (error instanceof DeployError && error.message.includes("not installed")) throw error;
      return false;
    },
  );
}

async function openssl(dir: string, args: readonly string[]): Promise<void> {
  if (findProgram("openssl") === null) {
    throw new DeployError("--secure needs openssl to create certificates, and openssl is not installed");
  }
  try {
    await runCommand("openssl", args, { cwd: dir, timeoutMs: OPENSSL_TIMEOUT_MS });
  } catch (cause) {
    throw new DeployError(`openssl in ${dir} failed: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}
