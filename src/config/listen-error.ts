/** Why an HTTP server cannot listen, and what to do. */
import { ClusterError, messageOf } from "../errors.ts";

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process uses this port: choose another one, or port 0 for a free one",
  EADDRNOTAVAIL: "this machine has no such address: use one of its own, or 127.0.0.1",
  EACCES: "this user may not use the port: choose one above 1023",
  ENOTFOUND: "the name cannot be resolved: use an IP address",
};

/** `LISTEN_FAILED`. */
export function listenError(address: string, error: NodeJS.ErrnoException): ClusterError {
  const why = REMEDIES[error.code ?? ""] ?? messageOf(error);
  return new ClusterError("LISTEN_FAILED", `the HTTP server cannot listen at ${address}: ${why}`, {
    cause: error,
  });
}
