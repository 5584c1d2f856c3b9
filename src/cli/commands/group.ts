/** The commands about one group. */
import { type Command, Option } from "commander";
import { dryRun, isAlive } from "../../manager/group-view.ts";
import { CliError, EXIT } from "../exit.ts";
import { changed, drain, move, rejoin } from "../groups/changes.ts";
import { DEFAULT_CHANGES, groupHistory } from "../groups/group-history.ts";
import { checkMember, readView } from "../groups/read-group.ts";
import { listsAll, type ShowFlags, watchGroup } from "../groups/watch-group.ts";
import {
  type ClusterFlags,
  duration,
  groupIdOf,
  positiveDuration,
  wholeNumber,
  withGroupOptions,
  withServers,
} from "../options.ts";
import { columnsOfOutput, printJson, printLines } from "../output.ts";
import { dryRunLines, groupLines } from "../render/group-table.ts";

export function group(command: Command): Command {
  command.addHelpText("after", "\nExample:\n  nats-leader group orders --watch");
  withGroupOptions(
    command
      .command("show", { isDefault: true })
      .description("show the members of a group and what each owns")
      .argument("<group>", "id of the group", groupIdOf),
  )
    .option("--resources", "list every resource, not only those that move or have no owner")
    .addOption(new Option("--all").hideHelp())
    .option("--watch", "show changes until Ctrl-C")
    .option("--interval <time>", "pause between two reads with --watch (default: 1s)", positiveDuration)
    .addHelpText("after", SHOW_HELP)
    .action(show);
  withGroupOptions(
    command
      .command("history")
      .description("list the last change of each resource, session and plan, newest first")
      .argument("<group>", "id of the group", groupIdOf),
  )
    .option("--resource <name>", "only this resource; may be given more than once", texts)
    .option("--member <member>", "only what concerns this member; may be given more than once", listed)
    .option("--since <time>", "only changes of this last time, such as 10m", positiveDuration)
    .option(
      "-n, --limit <number>",
      `number of changes (default: ${DEFAULT_CHANGES})`,
      wholeNumber(1, 1_000_000),
    )
    .option("--watch", "print changes as they happen, until Ctrl-C")
    .option("--duration <time>", "as --watch, for this time", positiveDuration)
    .option("--interval <time>", "pause between two reads with --watch (default: 1s)", positiveDuration)
    .addHelpText("after", HISTORY_HELP)
    .action(groupHistory);
  withGroupOptions(
    command
      .command("plan")
      .description("show what would move if members left")
      .argument("<group>", "id of the group", groupIdOf),
  )
    .option("--without <member>", "a member that is gone; may be given more than once", listed)
    .addHelpText("after", PLAN_HELP)
    .action(plan);
  const change = (name: string, description: string): Command =>
    withGroupOptions(
      command.command(name).description(description).argument("<group>", "id of the group", groupIdOf),
    ).option("--wait <time>", "time limit until it is done; 0s: do not wait (default: 15s)", duration);
  change("drain", "make a member give up everything, and take nothing")
    .argument("<member>", "id of the member", groupIdOf)
    .addHelpText("after", DRAIN_HELP)
    .action((groupId, member, flags) => changed(groupId, flags, (client) => drain(client, groupId, member)));
  change("rejoin", "make a member take resources again")
    .argument("<member>", "id of the member", groupIdOf)
    .addHelpText("after", "\nExample:\n  nats-leader group rejoin orders worker-3")
    .action((groupId, member, flags) => changed(groupId, flags, (client) => rejoin(client, groupId, member)));
  change("move", "move a resource to another member")
    .argument("<resource>", "name of the resource")
    .argument("<member>", "id of the member that is to own it", groupIdOf)
    .addHelpText("after", MOVE_HELP)
    .action((groupId, resource, member, flags) =>
      changed(groupId, flags, (client) => move(client, groupId, resource, member)),
    );
  return command;
}

function listed(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, groupIdOf(text)];
}

function texts(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

const SHOW_HELP = `
Reads the group's bucket, and writes nothing. "nats-leader group ID" is the
same. JSON has every resource. Exits 3 if no member is alive, or a resource has
no owner.

Example:
  nats-leader group show orders --resources --json`;

const HISTORY_HELP = `
The bucket keeps one value for each key: of every resource this is its last
change, not all of its changes. With --watch a change is missed only if the same
resource changes again before the next read. Times are those of the server.
Reads the group's bucket, and writes nothing.

Examples:
  nats-leader group history orders --since 10m --member worker-3
  nats-leader group history orders --duration 1m --json`;

const PLAN_HELP = `
A dry run: nothing is changed. The zones of resources are not in the bucket, so
members whose lists have zones may decide otherwise.

Example:
  nats-leader group plan orders --without worker-3`;

const DRAIN_HELP = `
Returns when the member owns nothing, after its work has ended. It stays in the
group, and takes resources again after "nats-leader group rejoin", or when it is
restarted.

Example:
  nats-leader group drain orders worker-3`;

const MOVE_HELP = `
Asks the coordinator. The resource moves when the work of its owner has ended.
The plan remains balanced: another resource may move in exchange.

Example:
  nats-leader group move orders 7 worker-3`;

interface PlanFlags extends ClusterFlags {
  readonly without?: readonly string[];
}

async function show(groupId: string, flags: ShowFlags): Promise<void> {
  if (flags.watch === true) return watchGroup(groupId, flags);
  if (flags.interval !== undefined)
    throw new CliError(EXIT.usage, "INVALID_USAGE", "--interval must come with --watch");
  const view = await withServers(flags, (client) => readView(client, groupId));
  if (flags.json === true) printJson(view);
  else printLines(groupLines(view, listsAll(flags), columnsOfOutput()));
  if (!isAlive(view) || view.unowned > 0) process.exitCode = EXIT.noLeader;
}

async function plan(groupId: string, { without = [], ...flags }: PlanFlags): Promise<void> {
  const view = await withServers(flags, (client) => readView(client, groupId));
  for (const member of without) checkMember(view, member);
  const result = dryRun(view, without);
  if (flags.json === true) printJson({ groupId, without, ...result });
  else printLines(dryRunLines(result, columnsOfOutput()));
}
