import type { Command } from "commander";
import { connectNats, type NatsLink } from "../nats/connection.ts";

export interface ConnectionFlags {
  readonly servers: string;
  readonly creds?: string;
  readonly timeout: string;
}

/** The flags every command that talks to NATS has. Secrets come from a file, never from the command line. */
export function withConnection(command: Command): Command {
  return command
    .option(
      "-s, --servers <urls>",
      "NATS servers, comma separated",
      process.env["NATS_URL"] ?? "nats://127.0.0.1:4222",
    )
    .option("--creds <file>", "credentials file")
    .option("--timeout <ms>", "longest wait for an answer", "2000");
}

export function timeoutOf(flags: ConnectionFlags): number {
  const timeoutMs = Number(flags.timeout);
  if (Number.isInteger(timeoutMs) && timeoutMs > 0) return timeoutMs;
  throw new UsageError(`--timeout ${flags.timeout} must be a whole number of milliseconds above 0`);
}

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {}

export async function withNats<T>(
  clusterId: string,
  flags: ConnectionFlags,
  run: (link: NatsLink) => Promise<T>,
): Promise<T> {
  const link = await connectNats(
    {
      servers: flags.servers.split(",").map((server) => server.trim()),
      connectTimeoutMs: timeoutOf(flags),
      ...(flags.creds === undefined ? {} : { credsFile: flags.creds }),
    },
    { clusterId, nodeId: "cli" },
  );
  try {
    return await run(link);
  } finally {
    await link.close();
  }
}
