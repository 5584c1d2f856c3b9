import { Command } from "commander";
import { ClusterError } from "../errors.ts";
import { parseObject } from "../nats/js-api.ts";
import { stepdownSubject } from "../nats/names.ts";
import { type ConnectionFlags, timeoutOf, withConnection, withNats } from "./connection-options.ts";

interface Flags extends ConnectionFlags {
  readonly to?: string;
  readonly json?: boolean;
}

export function stepdown(): Command {
  return withConnection(new Command("stepdown"))
    .argument("<clusterId>")
    .argument("<nodeId>", "the node that leads")
    .option("--to <nodeId>", "the node that goes first")
    .option("--json", "print JSON")
    .description("ask the leader to give up leadership: its work stops first, then the next node leads")
    .exitOverride()
    .action(async (clusterId: string, nodeId: string, flags: Flags) => {
      const body = flags.to === undefined ? undefined : JSON.stringify({ to: flags.to });
      await withNats(clusterId, flags, async ({ connection }) => {
        const options = { timeout: timeoutOf(flags) };
        const answer = await connection
          .request(stepdownSubject(clusterId, nodeId), body, options)
          .catch((cause: unknown) => {
            throw new ClusterError(
              "NO_CONNECTION",
              `node "${nodeId}" of cluster "${clusterId}" did not answer within ${options.timeout} ms; work that stops slowly needs a longer --timeout`,
              { cause, recoverable: true },
            );
          });
        const said = parseObject(answer.data);
        if (said?.["ok"] !== true) {
          throw new ClusterError("NOT_LEADER", `refused: ${String(said?.["error"] ?? "no reason given")}`);
        }
      });
      process.stdout.write(flags.json === true ? '{"ok":true}\n' : `${nodeId} has stepped down\n`);
    });
}
