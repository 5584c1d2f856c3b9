import { type NodeOptions, resolveOptions } from "../../../src/config/resolve.ts";
import { ClusterError } from "../../../src/errors.ts";

export const MINIMAL: NodeOptions = { clusterId: "c", nodeId: "a", servers: "nats://127.0.0.1:4222" };

/** Has the form of a seed but is not valid. */
export const FAKE_SEED: string = `SU${"A".repeat(56)}`;

/** The error that these options cause; throws if they are accepted. */
export function errorOf(options: unknown): ClusterError {
  try {
    resolveOptions(options as NodeOptions);
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
  throw new Error("the options were accepted");
}

/** The lines of that error, one per problem. */
export function linesOf(options: unknown): string[] {
  const [title, ...lines] = errorOf(options).message.split("\n");
  if (title !== "invalid node options:") throw new Error(`unexpected first line: ${title}`);
  return lines.map((line) => line.trim());
}
