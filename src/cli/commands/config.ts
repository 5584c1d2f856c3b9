import type { Command } from "commander";
import { type SettingInForce, settingsInForce } from "../../config/file/in-force.ts";
import type { LoadedConfig } from "../../config/file/load.ts";
import { jsonSchema } from "../../config/file/schema.ts";
import { ClusterError } from "../../errors.ts";
import { withoutLogin } from "../../log/redact.ts";
import { EXIT } from "../exit.ts";
import { type ClusterFlags, configOf, printNotes, withClusterOptions } from "../options.ts";
import { columnsOfOutput, note, printJson, printLines } from "../output.ts";
import { table } from "../render/table.ts";
import { unusableAddress } from "../vip.ts";

export function config(command: Command): Command {
  command.addHelpText("after", "\nExample:\n  nats-leader config check --config a.json");
  withClusterOptions(
    command.command("check").description("check a configuration and show the source of each value"),
  )
    .addHelpText("after", CHECK_HELP)
    .action(check);
  command
    .command("schema")
    .description("print the JSON Schema of the configuration file")
    .option("--json", "print JSON (always on)")
    .addHelpText("after", "\nExample:\n  nats-leader config schema > config.schema.json")
    .action(() => printJson(jsonSchema()));
  return command;
}

const CHECK_HELP = `
Lists every setting that is in force, also the defaults, and where it is from.
A value comes from the first source that sets it: flags, NATS_LEADER_*
variables, the file, variables of other tools (NATS_URL or NATS_HOST and
NATS_PORT, NATS_CREDS, INSTANCE_ID, ...), those of the platform (HOSTNAME, and
NATS_PORT of Kubernetes), the default. Two ways of one source that differ are
an error. Does not connect to NATS. Exits 2 if anything is invalid.

Example:
  nats-leader config check --config a.json`;

function check(flags: ClusterFlags): void {
  let loaded: LoadedConfig;
  try {
    loaded = configOf(flags, true, { requireFiles: "all", unusableAddress, forCluster: "or-group" });
  } catch (error) {
    if (flags.json !== true || !(error instanceof ClusterError)) throw error;
    const [what = "", ...problems] = error.message.split("\n  ");
    printJson({ ok: false, problems: problems.length > 0 ? problems : [what] });
    process.exitCode = EXIT.usage;
    return;
  }
  const settings = settingsInForce(loaded).map((setting) => ({ ...setting, value: shown(setting) }));
  if (flags.json === true) return printJson({ ok: true, path: loaded.path, settings, notes: loaded.notes });
  const rows = settings.map(({ path, value, from }) => [path, JSON.stringify(value), from]);
  printLines(table(["SETTING", "VALUE", "FROM"], rows, columnsOfOutput()));
  printNotes(loaded);
  note(`${loaded.path ?? "the configuration"} is valid`);
}

function shown({ path, value }: SettingInForce): unknown {
  return (path === "nats.servers" || path === "nats.monitors") && Array.isArray(value)
    ? value.map(String).map(withoutLogin)
    : value;
}
