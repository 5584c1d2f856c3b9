/** Exit codes, and the errors that have one of their own. */
import { ClusterError } from "../errors.ts";

export const EXIT = {
  ok: 0,
  /** Refused, failed or timed out. */
  error: 1,
  /** The command line or the configuration is invalid. */
  usage: 2,
  noLeader: 3,
  /** NATS, JetStream or the node that was asked. */
  unreachable: 4,
  /** The worst finding of `doctor`. */
  warning: 5,
  critical: 6,
} as const;

/** For `--help`. docs/cli.md has the full table. */
export const EXIT_CODES = `Exit codes: 0 success, 1 refused, failed or timed out, 2 invalid usage or
configuration, 3 no leader, 4 NATS or the node that was asked is unreachable,
5 doctor: warnings, 6 doctor: critical findings.`;

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

export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (!(error instanceof ClusterError)) return EXIT.error;
  switch (error.code) {
    case "INVALID_CONFIG":
      return EXIT.usage;
    case "NO_CONNECTION":
    case "AUTHORIZATION":
    case "JETSTREAM_UNAVAILABLE":
    case "STORE_UNAVAILABLE":
      return EXIT.unreachable;
    default:
      return EXIT.error;
  }
}
