/** Environment variables with our prefix that are none of ours. */
import { nearest } from "../suggest.ts";
import type { Environment } from "./layers.ts";
import { OTHER_VARIABLES, SETTINGS } from "./settings.ts";

const PREFIX = "NATS_LEADER_";
/** Kubernetes sets these in every container for a service named nats-leader. */
const KUBERNETES = /^NATS_LEADER_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$/s;
const MAX_LISTED = 20;
const MAX_SHOWN = 80;

/** One line for each. An empty variable counts as not set. */
export function unknownVariables(env: Environment): string[] {
  const known = [...SETTINGS.map(({ variable }) => variable), ...OTHER_VARIABLES];
  const unknown = Object.keys(env).filter(
    (name) =>
      name.startsWith(PREFIX) &&
      !known.includes(name) &&
      !KUBERNETES.test(name) &&
      env[name] !== undefined &&
      env[name] !== "",
  );
  return unknown.slice(0, MAX_LISTED).map((name) => {
    const meant = nearest(name.slice(PREFIX.length), known.map(withoutPrefix), {});
    const hint = meant === undefined ? "" : `; did you mean ${PREFIX}${meant}?`;
    return `the environment variable ${name.slice(0, MAX_SHOWN)} is not known and has no effect${hint}`;
  });
}

function withoutPrefix(name: string): string {
  return name.slice(PREFIX.length);
}
