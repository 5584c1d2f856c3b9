/** Errors of requests that a command makes, as opposed to a node: a command needs several subjects, and a denial names one of them. */
import { ClusterError } from "../errors.ts";
import { jsToClusterError } from "../nats/api/js-api.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";

type Role = "operator" | "administrator";
type Set = { readonly clusterId: string } | { readonly groupId: string };

/** As `jsToClusterError()`; a denial also names the command that prints all permissions of `role`. */
export function commandError(
  { domain }: Pick<ConnectionMonitor, "domain">,
  thrown: unknown,
  doing: string,
  set: Set,
  role: Role = "operator",
): ClusterError {
  const error = jsToClusterError(thrown, doing);
  const command = '"nats-leader permissions ';
  if (error.code !== "AUTHORIZATION" || error.message.includes(command)) return error;
  const of = "groupId" in set ? `--group ${set.groupId}` : `--cluster-id ${set.clusterId}`;
  const where = domain === null ? "" : ` --domain ${domain}`;
  const prints = `${command}${role} ${of}${where}" prints all that this takes`;
  return new ClusterError("AUTHORIZATION", `${error.message} (${prints})`, { cause: thrown });
}
