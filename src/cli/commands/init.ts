import { Command, InvalidArgumentError } from "commander";
import { checkConfig } from "../../config/file/load.ts";
import { defaultFileConfig, writeConfig } from "../../config/file/write.ts";
import { DEFAULT_CONFIG } from "../options.ts";
import { note, print, printJson } from "../output.ts";

interface Flags {
  readonly config: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly natsUrl: string;
  readonly vipAddress?: string;
  readonly vipNetmask?: number;
  readonly vipInterface?: string;
  readonly json?: boolean;
}

export function init(): Command {
  return new Command("init")
    .description("write a configuration file")
    .requiredOption("--cluster-id <id>", "which cluster (required)")
    .requiredOption("--node-id <id>", "which node (required)")
    .option("-c, --config <file>", "file to write", DEFAULT_CONFIG)
    .option("--nats-url <urls>", "NATS servers, comma separated", "nats://localhost:4222")
    .option("--vip-address <ip>", "virtual IP of the leader")
    .option("--vip-netmask <bits>", "its prefix (default: 24, for IPv6 64)", prefix)
    .option("--vip-interface <name>", "its network interface")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  nats-leader init --cluster-id billing --node-id a --config a.json")
    .action(run);
}

function prefix(text: string): number {
  const bits = Number(text);
  if (Number.isInteger(bits) && bits >= 0 && bits <= 128) return bits;
  throw new InvalidArgumentError("must be a whole number from 0 to 128");
}

function run(flags: Flags): void {
  const servers = flags.natsUrl.split(",").map((url) => url.trim());
  const { vipAddress: address, vipNetmask: netmask, vipInterface } = flags;
  const vip = address === undefined ? {} : defined({ address, netmask, interface: vipInterface });
  const config = defaultFileConfig(flags.clusterId, flags.nodeId, servers, vip);
  checkConfig(config);
  const kept = writeConfig(config, flags.config);
  if (kept !== null) note(`note: the file that was there is kept as ${kept}`);
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
