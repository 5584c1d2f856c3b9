import type { Command } from "commander";
import { isoTime } from "../../manager/cluster-status.ts";
import { type History, readHistory } from "../../manager/history-reader.ts";
import type { PastTerm } from "../../manager/history-record.ts";
import { noBucketTodo } from "../../manager/operations.ts";
import { type ClusterFlags, wholeNumber, withCluster, withQueryOptions } from "../options.ts";
import { columnsOfOutput, note, printJson, printLines } from "../output.ts";
import { historyTable } from "../render/history-table.ts";

const DEFAULT_LAST = 20;

interface Flags extends ClusterFlags {
  readonly last?: number;
}

export function history(command: Command): Command {
  return withQueryOptions(command)
    .option("-n, --last <number>", `number of terms (default: ${DEFAULT_LAST})`, wholeNumber(1, 10_000))
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Daemons record their terms in a small stream next to the bucket, unless the
configuration has "history": {"enabled": false}. This command writes nothing.
Times are those of the nodes' clocks. The reason "silent" means that the leader
recorded no end (killed or cut off); UNTIL is then the start of the next term.

Example:
  nats-leader history --cluster-id billing --last 5`;

async function run(flags: Flags): Promise<void> {
  const { unreadable, noBucket, ...found } = await withCluster(flags, async (client) => {
    const situation = await client.situation();
    const history = await readHistory(client, situation, flags.last ?? DEFAULT_LAST);
    const isUnknown = !history.recorded && !situation.lease.exists;
    const noBucket = isUnknown ? await noBucketTodo(client) : null;
    return { clusterId: client.clusterId, ...history, noBucket };
  });
  if (unreadable > 0)
    note(
      `${unreadable} of the newest messages in the stream of past terms are no records: another program writes there`,
    );
  if (flags.json === true) return printJson({ ...found, terms: found.terms.map(jsonTerm) });
  if (found.terms.length > 0) printLines(historyTable(found.terms, columnsOfOutput(), Date.now()));
  if (noBucket !== null)
    note(`cluster "${found.clusterId}" has no bucket and no recorded terms. ${noBucket}`);
  else if (unreadable === 0) noteMissing(found);
}

function jsonTerm(term: PastTerm): object {
  const iso = (at: number | null): string | null => (at === null ? null : isoTime(at));
  return { ...term, from: iso(term.from), until: iso(term.until) };
}

function noteMissing({ recorded, terms }: Pick<History, "recorded" | "terms">): void {
  if (!recorded) {
    note("this cluster has no recorded terms: only daemons of nats-leader with history enabled record them");
  } else if (terms.length === 0) note("this cluster has not had a leader yet");
}
