import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Obtain } from "./obtain.ts";

const BUILD_MS = 5 * 60_000;
const PROGRESS_EVERY_MS = 10_000;

/** Builds from source with the Go toolchain: 20 to 80 s with an empty module cache. Static; needs no C compiler. */
export const obtainWithGo: Obtain = async ({ version, ports, dir, progress, signal }) => {
  await ports.run("go", ["version"], { timeoutMs: 10_000, cwd: dir, signal });
  const startedAt = performance.now();
  progress(`building nats-server ${version} with go install (once; up to 80 s on two cores)`);
  const timer = setInterval(() => {
    progress(
      `still building nats-server ${version} (${Math.round((performance.now() - startedAt) / 1000)} s)`,
    );
  }, PROGRESS_EVERY_MS);
  try {
    await ports.run("go", ["install", `github.com/nats-io/nats-server/v2@v${version}`], {
      timeoutMs: BUILD_MS,
      cwd: dir, // outside any go.mod or go.work
      env: { ...ports.env, GOBIN: dir, CGO_ENABLED: "0", GOWORK: "off" },
      signal,
    });
  } finally {
    clearInterval(timer);
  }
  const binary = join(dir, "nats-server");
  await access(binary);
  return binary;
};
