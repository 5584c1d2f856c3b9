import { delimiter, join } from "node:path";
import { NatsServerError, reasonOf } from "../errors.ts";
import { binaryVersion } from "./binary.ts";
import { cacheDir, findCached, installInto, withInstallLock } from "./cache.ts";
import { fetchBytes } from "./fetch-bytes.ts";
import type { FinderPorts, Obtain } from "./obtain.ts";
import { obtainFromDebian } from "./obtain-debian.ts";
import { obtainFromDocker } from "./obtain-docker.ts";
import { obtainWithGo } from "./obtain-go.ts";
import { obtainRelease } from "./obtain-release.ts";
import { runCommand } from "./run-command.ts";
import {
  compareVersions,
  isCurrentEnough,
  limitsNote,
  OLDEST_NATS_VERSION,
  PINNED_NATS_VERSION,
} from "./versions.ts";

/** Where a binary came from. What the last four gave is in the cache from then on. */
export type NatsServerSource = "NATS_SERVER" | "PATH" | "cache" | "release" | "go" | "docker" | "debian";

/** A nats-server that runs on this machine. */
export interface NatsServerBinary {
  readonly path: string;
  /** As it says itself, like "2.15.1". */
  readonly version: string;
  readonly source: NatsServerSource;
  /** Lines for a person: what this version can't do. Empty for a current one. */
  readonly notes: readonly string[];
}

/** What {@link findNatsServer} takes. */
export interface FindOptions {
  /** Exactly this version. Default: 2.15.1; then on `PATH` any of 2.15 or newer will do, too. */
  readonly version?: string;
  /** Whether an older server is better than none. Default true; of no effect together with `version`. */
  readonly allowOlder?: boolean;
  /** A line of progress, while something takes long. */
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** A finder with a memory of its own. */
export type FindNatsServer = (options?: FindOptions) => Promise<NatsServerBinary>;

/** Makes {@link findNatsServer} over another world. */
export function createFinder(ports: FinderPorts): FindNatsServer {
  const found = new Map<string, NatsServerBinary>();
  return async (options = {}) => {
    options.signal?.throwIfAborted();
    const { env } = ports;
    const where = [env["NATS_SERVER"], env["PATH"], cacheDir(env)];
    const key = JSON.stringify([options.version, options.allowOlder, ...where]);
    const known = found.get(key);
    if (known !== undefined && (await stillThere(known))) return known;
    const search = new Search(ports, options);
    const binary = await search.run();
    found.set(key, binary);
    return binary;
  };
}

/**
 * Finds a nats-server, or gets one. Looks at, in this order: the `NATS_SERVER` environment variable (a path; when it
 * is set and does not run that is an error), `PATH`, the cache, the release on GitHub (checksum verified), `go
 * install`, the Docker image, an older server seen on the way, the package of a Debian-like system. What was got is
 * kept in the cache: `NATS_LEADER_CACHE`, or nats-leader in `XDG_CACHE_HOME` or ~/.cache.
 *
 * Prints nothing. Remembers what it found, and that GitHub can't be reached, for the life of the process.
 *
 * Errors ({@link NatsServerError}): `bad_binary` for `NATS_SERVER`; `not_found`, whose message lists every source,
 * why it gave nothing, and what can be done.
 */
export const findNatsServer: FindNatsServer = createFinder({
  env: process.env,
  platform: process.platform,
  arch: process.arch,
  isRoot: process.getuid?.() === 0,
  fetchBytes,
  run: runCommand,
});

async function stillThere(binary: NatsServerBinary): Promise<boolean> {
  return binaryVersion(binary.path).then(
    (version) => version === binary.version,
    () => false,
  );
}

class Search {
  readonly #ports: FinderPorts;
  readonly #wanted: string;
  readonly #exact: boolean;
  readonly #allowOlder: boolean;
  readonly #progress: (line: string) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #cache: string;
  /** One line for each source that gave nothing. */
  readonly #failures: string[] = [];
  #older: NatsServerBinary | undefined;

  constructor(ports: FinderPorts, options: FindOptions) {
    this.#ports = ports;
    this.#wanted = options.version?.replace(/^v/, "") ?? PINNED_NATS_VERSION;
    this.#exact = options.version !== undefined;
    this.#allowOlder = !this.#exact && options.allowOlder !== false;
    this.#progress = options.onProgress ?? (() => {});
    this.#signal = options.signal;
    this.#cache = cacheDir(ports.env);
    compareVersions(this.#wanted, this.#wanted); // throws a TypeError on what is no version
  }

  async run(): Promise<NatsServerBinary> {
    const present =
      (await this.#fromEnv()) ?? (await this.#fromPath()) ?? (await this.#fromCache(this.#wanted));
    if (present !== undefined) return present;
    const lock = [this.#cache, this.#wanted, this.#signal] as const;
    const got = await this.#try("cache", () => withInstallLock(...lock, () => this.#get()));
    if (got !== undefined) return got;
    throw this.#notFound();
  }

  async #fromEnv(): Promise<NatsServerBinary | undefined> {
    const path = this.#ports.env["NATS_SERVER"];
    if (!path) return this.#fail("NATS_SERVER", "not set");
    let version: string;
    try {
      version = await binaryVersion(path, this.#signal);
    } catch (cause) {
      this.#signal?.throwIfAborted();
      const hint = "correct the NATS_SERVER environment variable or unset it";
      throw new NatsServerError("bad_binary", `NATS_SERVER: ${reasonOf(cause)}; ${hint}`, { cause });
    }
    // Without a version the user's choice stands, whatever its age: the notes say what it lacks.
    if (!this.#exact || version === this.#wanted) return describe(path, version, "NATS_SERVER");
    return this.#fail("NATS_SERVER", `${path} is ${version}`);
  }

  async #fromPath(): Promise<NatsServerBinary | undefined> {
    const dirs = (this.#ports.env["PATH"] ?? "").split(delimiter).filter((dir) => dir !== "");
    const seen: string[] = [];
    for (const dir of dirs) {
      const path = join(dir, "nats-server");
      try {
        const version = await binaryVersion(path, this.#signal);
        if (this.#isWanted(version)) return describe(path, version, "PATH");
        seen.push(`${path} is ${version}`);
        if (!this.#exact) this.#older ??= describe(path, version, "PATH");
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (!reasonOf(error).includes("ENOENT")) seen.push(reasonOf(error));
      }
    }
    return this.#fail("PATH", seen.length === 0 ? "no nats-server" : seen.join("; "));
  }

  #isWanted(version: string): boolean {
    return this.#exact ? version === this.#wanted : isCurrentEnough(version, this.#wanted);
  }

  async #fromCache(version: string): Promise<NatsServerBinary | undefined> {
    const path = await findCached(this.#cache, version, this.#signal);
    if (path !== undefined) return describe(path, version, "cache");
    return this.#fail("cache", `no ${version} in ${this.#cache}`);
  }

  async #get(): Promise<NatsServerBinary | undefined> {
    const path = await findCached(this.#cache, this.#wanted, this.#signal);
    if (path !== undefined) return describe(path, this.#wanted, "cache"); // made while this process waited
    // Debian's package is the quickest way to its own version, and the last resort for any other.
    const debianFirst = this.#exact && this.#wanted === OLDEST_NATS_VERSION;
    const debian = () => this.#obtain("debian", obtainFromDebian);
    return (
      (debianFirst ? await debian() : undefined) ??
      (await this.#obtain("release", obtainRelease)) ??
      (await this.#obtain("go", obtainWithGo)) ??
      (await this.#obtain("docker", obtainFromDocker)) ??
      (await this.#olderOne()) ??
      (debianFirst ? undefined : await debian())
    );
  }

  async #olderOne(): Promise<NatsServerBinary | undefined> {
    if (!this.#allowOlder) return undefined;
    return this.#older ?? (await this.#fromCache(OLDEST_NATS_VERSION));
  }

  async #obtain(source: NatsServerSource, obtain: Obtain): Promise<NatsServerBinary | undefined> {
    return this.#try(source, async () => {
      const request = {
        version: this.#wanted,
        ports: this.#ports,
        progress: this.#progress,
        signal: this.#signal,
      };
      const { path, version } = await installInto(
        this.#cache,
        (dir) => obtain({ ...request, dir }),
        (version) => this.#accept(version),
      );
      return describe(path, version, source);
    });
  }

  #accept(version: string): void {
    if (this.#isWanted(version) || this.#allowOlder) return;
    throw new Error(`it gave ${version}`);
  }

  async #try<T>(source: NatsServerSource, action: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      this.#signal?.throwIfAborted();
      const cause = error instanceof Error && error.message === "fetch failed" ? error.cause : error;
      this.#progress(`no nats-server ${this.#wanted} by ${source}: ${reasonOf(cause)}`);
      return this.#fail(source, reasonOf(cause));
    }
  }

  #fail(source: NatsServerSource, why: string): undefined {
    this.#failures.push(`  - ${source}: ${why}`);
    return undefined;
  }

  #notFound(): NatsServerError {
    const [minor] = /^\d+\.\d+/.exec(this.#wanted) ?? [this.#wanted];
    const lines = [
      `no nats-server ${this.#wanted}${this.#allowOlder ? ", nor an older one" : ""}:`,
      ...this.#failures,
      "Any one of these helps:",
      `  - set NATS_SERVER=/path/to/nats-server, or put nats-server ${minor} on PATH`,
      "  - let this machine reach github.com for the release archive",
      "  - install Go, which then builds it",
      `  - start a Docker engine that has or can pull the image nats:${this.#wanted}`,
      "  - on a Debian-like system run: apt-get update",
    ];
    return new NatsServerError("not_found", lines.join("\n"));
  }
}

function describe(path: string, version: string, source: NatsServerSource): NatsServerBinary {
  const note = limitsNote(version);
  return { path, version, source, notes: note === undefined ? [] : [note] };
}
