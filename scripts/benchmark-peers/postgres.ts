/** A PostgreSQL session that holds an advisory lock. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { findProgram } from "../../src/system/find-program.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type Peer, postgresFolders, SERVER_FOLDERS, startProcess, versionOf } from "./peer.ts";

const HOST = "127.0.0.1";
const LOCK = 4_222;

function program(name: string): string | undefined {
  return findProgram(name, [...SERVER_FOLDERS, ...postgresFolders()]) ?? undefined;
}

/** PostgreSQL refuses to run as root; for root this is the package's user. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = ["-u", "-g"].map((flag) =>
    Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout || Number.NaN),
  );
  if (uid === undefined || gid === undefined || Number.isNaN(uid) || Number.isNaN(gid)) {
    throw new Error(
      "cannot start PostgreSQL: it refuses to run as root, and there is no user postgres; run as another user",
    );
  }
  return { uid, gid };
}

export const postgres: Peer = {
  system: "postgres",
  client: "pg: a session holds pg_advisory_lock, the others wait in the same call; no TTL",
  packages: ["postgresql"],
  renewEveryMs: () => 0,
  missing: () =>
    program("initdb") === undefined || program("postgres") === undefined
      ? "no programs initdb and postgres (Debian: postgresql)"
      : undefined,

  async startServer(dir, signal) {
    const command = program("postgres") ?? "postgres";
    const user = unprivileged();
    const data = join(dir, "data");
    mkdirSync(data, { mode: 0o700 });
    if (user !== undefined) {
      chmodSync(dir, 0o755);
      chownSync(data, user.uid, user.gid);
    }
    const args = ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync"];
    const made = spawnSync(program("initdb") ?? "initdb", args, { ...user, encoding: "utf8" });
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    const port = await freePort(HOST);
    const url = `postgres://postgres@${HOST}:${port}/postgres`;
    const ready = async (): Promise<boolean> => {
      const client = new pg.Client(url);
      client.on("error", () => {});
      try {
        await client.connect();
        return true;
      } finally {
        await client.end().catch(() => {});
      }
    };
    const listen = ["-D", data, "-h", HOST, "-p", String(port), "-k", data];
    // SIGINT requests a fast shutdown.
    const stop = await startProcess({ command, args: listen, user, ready, stopSignal: "SIGINT" }, signal);
    return { url, version: versionOf(command, "--version"), stop };
  },

  async campaign({ url, onBecome, onError }) {
    const client = new pg.Client(url);
    client.on("error", onError);
    await client.connect();
    let leaving = false;
    client.query("select pg_advisory_lock($1)", [LOCK]).then(onBecome, (error: unknown) => {
      if (!leaving) onError(error);
    });
    return {
      async leave() {
        leaving = true;
        await client.query("select pg_advisory_unlock($1)", [LOCK]);
        await client.end();
      },
    };
  },
};
