/** Runs the code of docs/telemetry.md about metrics and spans, and compares its tables with the instruments. */

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { instrumentTable } from "../../scripts/build/metrics-reference.ts";
import { NAMES } from "../../src/channels/channels.ts";
import { Node } from "../../src/index.ts";
import { prometheusMetrics } from "../../src/prometheus.ts";
import { instrument } from "../../src/telemetry.ts";
import { atEnd } from "../support/at-end.ts";
import { samplesIn, sampleValue } from "../support/exposition.ts";
import { useNatsServer } from "../support/use-server.ts";

const nats = useNatsServer();
const text = readFileSync(join(import.meta.dirname, "../../docs/telemetry.md"), "utf8");

test("metrics for Prometheus from a server of the application", async () => {
  const servers = nats.url;

  const node = new Node({ clusterId: "billing", nodeId: "a", servers });
  const metrics = prometheusMetrics(node);
  await node.start();

  const server = createServer(async (request, response) => {
    const { body, contentType } = await metrics.text(request.headers.accept);
    response.setHeader("content-type", contentType).end(body);
  });

  atEnd(() => node.stop());
  atEnd(() => server.close());
  atEnd(() => metrics.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await node.campaign();
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
    headers: { accept: "application/openmetrics-text" },
  });
  expect(answer.headers.get("content-type")).toContain("openmetrics");
  expect(sampleValue(samplesIn(await answer.text()), "nats_leader_has_leader", { cluster: "billing" })).toBe(
    1,
  );
});

test("OpenTelemetry", async () => {
  const servers = nats.url;

  const node = new Node({ clusterId: "billing", nodeId: "a", servers });
  const stop = instrument(node);
  await node.start();

  // Without an SDK the API drops everything.
  await node.campaign();
  await node.stop();
  stop();
});

test("the table of metrics is as generated (npm run generate)", () => {
  expect(text).toContain(`<!-- generated: metrics -->\n${instrumentTable()}\n<!-- /generated -->`);
});

test("every channel has its row, and there are no others", () => {
  const [, section = ""] = text.split("| channel | published |");
  const rows = (section.split("\n\n")[0] ?? "").split("\n").filter((line) => line.startsWith("| `"));
  expect(rows.map((row) => row.split("`")[1])).toEqual(NAMES);
});
