import type { Command } from "commander";
import { type History, readHistory } from "../../manager/history-reader.ts";
import type { PastTerm } from "../../manager/history-record.ts";
import { showInstant, showSeconds } from "../duration.ts";
import { askingCommand, type ClusterFlags, wholeNumber, withCluster } from "../options.ts";
import { coloursFor, note, print, printJson, table } from "../output.ts";

interface Flags extends ClusterFlags {
  readonly last?: number;
}

export function history(): Command {
  return askingCommand("history", "past terms: who led, from when to when, why it ended")
    .option("-n, --last <number>", "how many (default: 20)", wholeNumber(1, 10_000))
    .addHelpText(
      "after",
      `
Daemons record their terms in a small stream beside the bucket, unless
"history": {"enabled": false} is configured. Reading writes nothing.
Times are those of the nodes' clocks. "silent": the leader did not say
why (killed, cut off); it had ended when the next term began.

Example:
  nats-leader history --cluster-id billing --last 5`,
    )
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  const found = await withCluster(flags, async (client) => ({
    clusterId: client.clusterId,
    ...(await readHistory(client, await client.situation(), flags.last ?? 20)),
  }));
  if (flags.json === true) return printJson({ ...found, terms: found.terms.map(jsonTerm) });
  if (found.terms.length > 0) print(historyTable(found.terms).join("\n"));
  tellMissing(found);
}

function jsonTerm(term: PastTerm): object {
  const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
  return { ...term, from: iso(term.from), until: iso(term.until) };
}

function tellMissing({ recorded, terms }: History): void {
  if (!recorded) note("no term is recorded here: only daemons of nats-leader with history enabled do that");
  else if (terms.length === 0) note("nobody has led here yet");
}

function historyTable(terms: readonly PastTerm[]): string[] {
  const colours = coloursFor(process.stdout);
  const rows = terms.map((term) => {
    const running = term.until === null && term.why === null;
    const length = term.from === null ? null : (term.until ?? (running ? Date.now() : null));
    return [
      String(term.epoch),
      running ? colours.strong(term.nodeId) : term.nodeId,
      term.from === null ? "-" : showInstant(term.from),
      running ? colours.good("leads") : untilText(term),
      length === null || term.from === null ? "-" : showSeconds(Math.max(0, length - term.from)),
      term.why ?? "",
    ];
  });
  return table(["EPOCH", "NODE", "FROM", "UNTIL", "FOR", "WHY"], rows, colours);
}

function untilText({ until, untilAtMost }: PastTerm): string {
  if (until === null) return "-";
  return `${untilAtMost ? "<= " : ""}${showInstant(until)}`;
}
