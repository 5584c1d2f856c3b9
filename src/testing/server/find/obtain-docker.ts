import { join } from "node:path";
import { reasonOf } from "../errors.ts";
import type { Obtain } from "./obtain.ts";

const ANSWER_MS = 3000;
const PULL_MS = 90_000;

/** Copies the binary from the official image. It is linked statically, so it runs on any Linux. */
export const obtainFromDocker: Obtain = async ({ version, ports, dir, progress, signal }) => {
  if (ports.platform !== "linux") throw new Error("the binary of the image runs on Linux only");
  await ports.run("docker", ["version", "--format", "{{.Server.Version}}"], { timeoutMs: ANSWER_MS, signal });
  progress(`copying nats-server ${version} from the image nats:${version}`);
  const output = await ports.run("docker", ["create", `nats:${version}`], { timeoutMs: PULL_MS, signal });
  const container = output.trim().split("\n").at(-1) ?? "";
  const binary = join(dir, "nats-server");
  try {
    await ports.run("docker", ["cp", `${container}:/nats-server`, binary], { timeoutMs: PULL_MS, signal });
  } finally {
    await ports
      .run("docker", ["rm", "-f", container], { timeoutMs: 30_000 })
      .catch((error: unknown) => progress(`container ${container} was not removed: ${reasonOf(error)}`));
  }
  return binary;
};
