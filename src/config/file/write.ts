/** Writes configuration files, as go-cluster's `init` does. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ClusterError, messageOf } from "../../errors.ts";
import { DEFAULTS } from "../resolve.ts";
import { SCHEMA_URL } from "./schema.ts";
import type { FileConfig, VipSection } from "./types.ts";

/** A file with the defaults of the settings that are changed most often. */
export function defaultFileConfig(
  clusterId: string,
  nodeId: string,
  servers: readonly string[],
  vip: VipSection = {},
): FileConfig {
  return {
    $schema: SCHEMA_URL,
    clusterId,
    nodeId,
    nats: { servers },
    vip,
    election: {
      leaseTtlMs: DEFAULTS.leaseTtlMs,
      heartbeatIntervalMs: DEFAULTS.heartbeatIntervalMs,
    },
  };
}

/**
 * Writes the file and its folders. An existing file with other content is kept as `<path>.bak`.
 *
 * @returns The path of the kept file, or `null`.
 * @throws ClusterError `INVALID_CONFIG` when the file cannot be written, or a URL contains a password, which a file must not.
 */
export function writeConfig(config: FileConfig, path: string): string | null {
  if (config.nats.servers.some((url) => url.includes("@"))) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `cannot write configuration ${path}: a URL of a server has a password or token (hidden), which must not be in the file: use nats.user and nats.passwordFile, nats.tokenFile, or NATS_LEADER_SERVERS`,
    );
  }
  const text = `${JSON.stringify(config, null, 2)}\n`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    const replaces = existsSync(path) && readFileSync(path, "utf8") !== text;
    const kept = replaces ? `${path}.bak` : null;
    if (kept !== null) copyFileSync(path, kept);
    writeFileSync(path, text);
    return kept;
  } catch (error) {
    throw new ClusterError("INVALID_CONFIG", `cannot write configuration ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
