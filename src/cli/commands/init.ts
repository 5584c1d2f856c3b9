import { type Command, InvalidArgumentError } from "commander";
import { checkConfig } from "../../config/file/load.ts";
import { splitList } from "../../config/file/spellings.ts";
import { defaultFileConfig, writeConfig } from "../../config/file/write.ts";
import { CliError, EXIT } from "../exit.ts";
import { DEFAULT_CONFIG, monitors } from "../options.ts";
import { note, print, printJson } from "../output.ts";

interface Flags {
  readonly config: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly natsUrl: string;
  readonly monitor?: readonly string[];
  readonly vipAddress?: string;
  readonly vipNetmask?: number;
  readonly vipInterface?: string;
  readonly json?: boolean;
}

export function init(command: Command): Command {
  return command
    .requiredOption("--cluster-id <id>", "cluster id (required)")
    .requiredOption("--node-id <id>", "node id (required)")
    .option("-c, --config <file>", "file to write", DEFAULT_CONFIG)
    .option("--nats-url <urls>", "URLs of NATS servers, separated by commas", "nats://localhost:4222")
    .option("--monitor <urls...>", "monitoring ports of the servers, for doctor", monitors)
    .option("--vip-address <ip>", "virtual IP of the leader")
    .option("--vip-netmask <bits>", "prefix length (default: 24 for IPv4, 64 for IPv6)", prefix)
    .option("--vip-interface <interface>", "network interface of the virtual IP")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Overwrites the file. A file with different content is kept as <file>.bak.

Example:
  nats-leader init --cluster-id billing --node-id a --config a.json`;

function prefix(text: string): number {
  // Number("") is 0.
  const bits = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isInteger(bits) && bits >= 0 && bits <= 128) return bits;
  throw new InvalidArgumentError("Must be a whole number from 0 to 32 for IPv4, from 0 to 128 for IPv6.");
}

function run(flags: Flags): void {
  const servers = splitList(flags.natsUrl);
  const { vipAddress: address, vipNetmask: netmask, vipInterface } = flags;
  if (address === undefined) {
    for (const [flag, value] of [
      ["--vip-netmask", netmask],
      ["--vip-interface", vipInterface],
    ])
      if (value !== undefined)
        throw new CliError(EXIT.usage, "INVALID_CONFIG", `${flag} must come with --vip-address`);
  }
  const vip = address === undefined ? {} : defined({ address, netmask, interface: vipInterface });
  const basic = defaultFileConfig(flags.clusterId, flags.nodeId, servers, vip);
  const { monitor } = flags;
  const config = monitor === undefined ? basic : { ...basic, nats: { ...basic.nats, monitors: monitor } };
  checkConfig(config);
  const kept = writeConfig(config, flags.config);
  if (kept !== null) note(`note: the previous file was kept as ${kept}`);
  if (flags.json === true) printJson({ ok: true, path: flags.config, kept });
  else print(`Configuration written to ${flags.config}`);
}

function defined(values: {
  readonly address: string;
  readonly netmask: number | undefined;
  readonly interface: string | undefined;
}): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
  );
}
