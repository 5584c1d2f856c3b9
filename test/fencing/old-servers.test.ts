import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { headers } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { FencedKv, FencedStream, KvFence } from "../../src/fencing.ts";
import { findNatsServer, startNatsCluster } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, OLD_VERSIONS, serverOf, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { START_MS } from "../support/patience.ts";

for (const version of OLD_VERSIONS) {
  const found = await serverOf(version);
  if ("missing" in found) {
    test.skip(`nats-server ${version} (${found.missing})`, () => {});
    continue;
  }
  test(`nats-server ${version} is refused with the required version, and nothing is created on it`, async () => {
    const server = await found.start();
    atEnd(() => server.dispose());
    const nats = await connection(server);
    const stream = FencedStream.connect(nats, { stream: "LEDGER", subjects: ["ledger.>"] });
    await expect(stream).rejects.toMatchObject({ code: "SERVER_TOO_OLD", recoverable: false });
    await expect(stream).rejects.toThrow(
      `the fence of stream LEDGER needs nats-server 2.11.0 or later, and the server of this connection is ${version}`,
    );
    await expect(FencedKv.connect(nats, { bucket: "B" })).rejects.toMatchObject({ code: "SERVER_TOO_OLD" });
    expect(await api(nats, "STREAM.NAMES")).toMatchObject({ total: 0 });
  });

  test(`on nats-server ${version} a fenced write is always refused, so never accepted under a moved fence`, async () => {
    const server = await found.start();
    atEnd(() => server.dispose());
    const nats = await connection(server);
    await api(nats, "STREAM.CREATE.L", { name: "L", subjects: ["l.>"] });
    const put = async (subject: string, set: Record<string, string>) => {
      const hdrs = headers();
      for (const [name, value] of Object.entries(set)) hdrs.set(name, value);
      return (await nats.request(subject, "", { timeout: 2000, headers: hdrs })).json<
        Record<string, unknown>
      >();
    };
    const fence = await put("l.fence", {});
    const condition = (sequence: unknown) => ({
      "Nats-Expected-Last-Subject-Sequence": String(sequence),
      "Nats-Expected-Last-Subject-Sequence-Subject": "l.fence",
    });
    expect(await put("l.x", condition(fence["seq"]))).toMatchObject({ error: { err_code: 10071 } });
    // Never expect sequence 0 of another subject: this server applies the condition to l.x.
    expect(await put("l.x", condition(0))).toMatchObject({ seq: 2 });
  });

  test(`on nats-server ${version} a receiver's durable fence works`, async () => {
    const server = await found.start();
    atEnd(() => server.dispose());
    const fence = await KvFence.open(await connection(server), { key: "printer" });
    atEnd(() => fence.close());
    await fence.admit(2);
    await expect(fence.admit(1)).rejects.toMatchObject({ code: "STALE_EPOCH" });
  });
}

describe("in a cluster", () => {
  test("an old server that holds the stream is refused by name, even if the server of the connection is new", async () => {
    const [newer, older] = await Promise.all([findNatsServer(), findNatsServer({ version: "2.10.29" })]);
    const binary = await mixedBinary(newer.path, older.path);
    const cluster = await startNatsCluster({ binary, startTimeoutMs: START_MS });
    atEnd(() => cluster.dispose());
    const [first, , third] = cluster.servers;
    if (first === undefined || third === undefined) throw new Error("no servers");
    const nats = await connection(first);
    expect(nats.info?.version).toBe(newer.version);
    const stream = freshId("L");
    const config = {
      name: stream,
      subjects: [`${stream}.>`, `nats_leader.fence.${stream}.>`],
      num_replicas: 3,
    };
    const created = () =>
      api(nats, `STREAM.CREATE.${stream}`, config).then(
        () => true,
        () => false,
      );
    await waitFor(created, { intervalMs: 200 }); // the cluster may lack servers while it starts
    const opening = FencedStream.connect(nats, { stream, subjects: [`${stream}.>`] });
    await expect(opening).rejects.toMatchObject({ code: "SERVER_TOO_OLD" });
    await expect(opening).rejects.toThrow(`server "${third.name}", which holds the stream, is 2.10.29`);
    expect(termOf(1).epoch).toBe(1);
  });
});

/** A "nats-server" that runs the older version as the third server of a cluster, and the newer one otherwise. */
async function mixedBinary(newer: string, older: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "nats-leader-mixed-"));
  atEnd(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, "nats-server");
  const script = `#!/bin/sh
for arg in "$@"; do
  if [ -f "$arg" ] && grep -q 'server_name.*-3"' "$arg"; then exec "${older}" "$@"; fi
done
exec "${newer}" "$@"
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}
