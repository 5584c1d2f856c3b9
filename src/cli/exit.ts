/** How commands end. */
import { ClusterError } from "../errors.ts";

export const EXIT = {
  ok: 0,
  /** Refused, failed, timed out. */
  error: 1,
  /** The command line or the configuration makes no sense. */
  usage: 2,
  noLeader: 3,
  /** NATS, JetStream or the node that was asked. */
  unreachable: 4,
  /** What `doctor` found. */
  warning: 5,
  critical: 6,
} as const;

/** For `--help` and the documentation. */
export const EXIT_CODES = `Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration,
3 nobody leads, 4 NATS or the node that was asked cannot be reached,
5 and 6 doctor found something: at worst a warning, something critical.`;

/** An error with an exit code of its own. */
export class CliError extends Error {
  readonly exitCode: number;
  /** For `--json`. */
  readonly code: string;

  constructor(exitCode: number, code: string, message: string) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
  }
}

export function nobodyLeads(clusterId: string): CliError {
  return new CliError(
    EXIT.noLeader,
    "NO_LEADER",
    `nobody leads cluster "${clusterId}"; "nats-leader nodes" shows whether anybody competes`,
  );
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (!(error instanceof ClusterError)) return EXIT.error;
  switch (error.code) {
    case "INVALID_CONFIG":
      return EXIT.usage;
    case "NO_CONNECTION":
    case "AUTHORIZATION":
    case "JETSTREAM_UNAVAILABLE":
      return EXIT.unreachable;
    default:
      return EXIT.error;
  }
}
