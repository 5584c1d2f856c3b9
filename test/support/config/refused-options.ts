import { type NodeOptions, resolveOptions } from "../../../src/config/resolve.ts";
import { ClusterError } from "../../../src/errors.ts";

export const MINIMAL: NodeOptions = { clusterId: "c", nodeId: "a", servers: "nats://127.0.0.1:4222" };

/** Has the shape of a seed and is none. */
export const FAKE_SEED: string = `SU${"A".repeat(56)}`;

/** The refusal of these options; throws when they are accepted. */
export function errorOf(options: unknown): ClusterError {
  try {
    resolveOptions(options as NodeOptions);
  } catch (error) {
    if (error instanceof ClusterError) return error;
    throw error;
  }
  throw new Error("the options were accepted");
}

/** The problems in the refusal, one each. */
export function linesOf(options: unknown): string[] {
  const [title, ...lines] = errorOf(options).message.split("\n");
  if (title !== "invalid node options:") throw new Error(`unexpected first line: ${title}`);
  return lines.map((line) => line.trim());
}
