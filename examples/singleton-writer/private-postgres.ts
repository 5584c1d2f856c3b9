/** A private PostgreSQL: a new cluster in a temporary folder on a free port. It ends with this process. */
import { execFile, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Parameters for any client of PostgreSQL. */
export interface PostgresServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly version: string;
  /** Ends the server, and with it all connections, and starts it again on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** The folder of `postgres` and `initdb`, or `null`. On Debian it is not in PATH. */
export function findPostgres(): string | null {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const dirs = [
    ...versions.map((version) => join(debian, version, "bin")),
    ...(process.env["PATH"] ?? "").split(delimiter),
    "/usr/local/opt/postgresql/bin",
    "/opt/homebrew/opt/postgresql/bin",
  ];
  return dirs.find((dir) => existsSync(join(dir, "initdb")) && existsSync(join(dir, "postgres"))) ?? null;
}

/** Rejects if PostgreSQL is not installed or does not start. */
export async function startPostgres(): Promise<PostgresServer> {
  const bin = findPostgres();
  if (bin === null) throw new Error("PostgreSQL is not installed: apt-get install postgresql");
  const owner = await serverUser();
  // A short path, because it contains the server's socket, in a folder that the server's own user can enter.
  const dir = mkdtempSync("/tmp/nl-pg-");
  if (owner !== null) chownSync(dir, owner.uid, owner.gid);
  const as = owner ?? {};
  const data = join(dir, "data");
  await run(
    join(bin, "initdb"),
    ["-D", data, "-U", "leader", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
    {
      ...as,
      cwd: dir,
    },
  );
  const port = await freePort();
  const options = ["-h", "127.0.0.1", "-p", String(port), "-k", dir, "-c", "fsync=off"];
  // The shell ends the server and removes its folder when its input ends, which also happens when this process is killed. `detached`: Ctrl-C
  // in a terminal is for this process, which may still write before it ends the server.
  const script =
    'dir=$1; server=$2; shift 2; "$server" "$@" <&- & pid=$!; read -r order; kill -INT $pid; wait $pid; cd /; [ "$order" = keep ] || rm -rf "$dir"';
  let log = "";
  const start = () => {
    const args = ["-c", script, "sh", dir, join(bin, "postgres"), "-D", data, ...options];
    const child = spawn("/bin/sh", args, {
      ...as,
      cwd: dir,
      stdio: ["pipe", "ignore", "pipe"],
      detached: true,
    });
    child.stderr.on("data", (text: Buffer) => {
      log = (log + text.toString()).slice(-4000);
    });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    return async (order = ""): Promise<void> => {
      child.stdin.end(order);
      await ended;
    };
  };
  let end = start();
  const stop = async (): Promise<void> => {
    await end();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await untilReady(bin, port, () => log);
    const { stdout } = await run(join(bin, "postgres"), ["--version"]);
    const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? "";
    return {
      host: "127.0.0.1",
      port,
      user: "leader",
      database: "postgres",
      version,
      async restart() {
        await end("keep\n");
        end = start();
        await untilReady(bin, port, () => log);
      },
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** PostgreSQL refuses to run as root. As root, run it as the user `postgres`; otherwise `null`. */
async function serverUser(): Promise<{ readonly uid: number; readonly gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const [uid, gid] = await Promise.all(
    ["-u", "-g"].map(async (flag) => Number((await run("id", [flag, "postgres"])).stdout)),
  );
  if (uid === undefined || gid === undefined)
    throw new Error("the user postgres does not exist: PostgreSQL does not run as root");
  return { uid, gid };
}

async function untilReady(bin: string, port: number, log: () => string): Promise<void> {
  const ready = join(bin, "pg_isready");
  for (let tries = 0; tries < 150; tries++) {
    if (
      await run(ready, ["-h", "127.0.0.1", "-p", String(port)]).then(
        () => true,
        () => false,
      )
    )
      return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`PostgreSQL did not start:\n${log()}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
