/** The command that starts servers, daemons, the exporter and Prometheus: all are scraped, and none is left behind. */
import { expect, test } from "vitest";
import { findPrometheus, PrometheusApi } from "../../examples/observability/stack/prometheus.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { descendantsOf, stateOf } from "../support/processes/proc.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

const WHOLE_MS = 120_000;
const isMissing = findPrometheus() === null;
const why = isMissing ? " (SKIPPED: prometheus is not installed: apt-get install prometheus)" : "";

test.skipIf(isMissing || process.platform !== "linux")(
  `every target is scraped, one node leads, and everything ends with it${why}`,
  async () => {
    await using child = spawnChild<{ readonly text?: string }>("examples/observability/main.ts");
    await child.next((line) => line.text?.startsWith("ready") === true, WHOLE_MS);
    const text = child.lines.map((line) => line.text).join("\n");
    const [, url = ""] = /Prometheus +(http:\S+)\/alerts/.exec(text) ?? [];
    const prometheus = new PrometheusApi(url);
    await waitFor(async () => (await prometheus.value("sum(up)")) === 4, { timeoutMs: 60_000 });
    await waitFor(async () => (await prometheus.value("sum(nats_leader_is_leader)")) === 1, {
      timeoutMs: 60_000,
    });
    await waitFor(async () => (await prometheus.value("sum(nats_leader_server_up)")) === 3, {
      timeoutMs: 60_000,
    });
    const pids = descendantsOf(child.pid);
    expect(pids.length).toBeGreaterThan(7);
    child.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 143, signal: null });
    await waitFor(() => pids.every((pid) => stateOf(pid) === "X"), { message: "its processes to end" });
    expect(child.stderr).toBe("");
  },
  WHOLE_MS,
);
