/** The environment of the program of `run`: without what nats-leader itself logs in with. */
import { SETTINGS, type Setting } from "../../config/file/settings.ts";

/** `doctor` logs in to the system account with these. */
const SYSTEM = ["NATS_LEADER_SYSTEM_CREDS", "NATS_LEADER_SYSTEM_USER", "NATS_LEADER_SYSTEM_PASSWORD"];

const CREDENTIALS: ReadonlySet<string> = new Set([
  ...SYSTEM,
  ...SETTINGS.filter(isCredential).flatMap(names),
]);
const SERVERS: ReadonlySet<string> = new Set(
  SETTINGS.filter(({ path }) => path === "nats.servers" || path === "nats.monitors").flatMap(names),
);

export interface ProgramEnvironment {
  readonly env: NodeJS.ProcessEnv;
  /** Names of the variables that were removed. */
  readonly withheld: readonly string[];
}

/** Removes variables with credentials, and those with URLs of servers if one contains a login. */
export function withoutCredentials(env: NodeJS.ProcessEnv): ProgramEnvironment {
  const isWithheld = ([name, value]: [string, string | undefined]): boolean =>
    CREDENTIALS.has(name) || (SERVERS.has(name) && value?.includes("@") === true);
  const entries = Object.entries(env);
  return {
    env: Object.fromEntries(entries.filter((entry) => !isWithheld(entry))),
    withheld: entries.filter(isWithheld).map(([name]) => name),
  };
}

function isCredential({ path, login, secret }: Setting): boolean {
  return login === true || secret === true || path === "nats.tls.key" || path === "nats.tls.cert";
}

function names({ variable, shared }: Setting): string[] {
  return [variable, ...(shared ?? [])];
}
