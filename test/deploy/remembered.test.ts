/** `up` continues what the state folder holds, and never starts servers that do not see the streams in it. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { Topology } from "../../scripts/deploy-nats-cluster/plan.ts";
import { type Asked, completePlan } from "../../scripts/deploy-nats-cluster/remembered.ts";
import { StateDir } from "../../scripts/deploy-nats-cluster/state.ts";
import { atEnd } from "../support/at-end.ts";

const NOTHING: Asked = { backend: undefined, topology: undefined, secure: undefined, portBase: undefined };

let state: StateDir;
beforeEach(() => {
  const path = mkdtempSync(join(tmpdir(), "nats-leader-remembered-"));
  atEnd(() => rmSync(path, { recursive: true }));
  state = new StateDir(path);
});

test("an empty folder gets a plain cluster of processes at the default port", async () => {
  const plan = { backend: "process", topology: "cluster", secure: false, portBase: 4222 };
  expect(await completePlan(state, NOTHING)).toEqual(plan);
  expect(await completePlan(state, { ...NOTHING, secure: true, portBase: 5222 })).toEqual({
    ...plan,
    secure: true,
    portBase: 5222,
  });
});

describe("a stopped deployment", () => {
  const kept = { backend: "compose", topology: "supercluster", secure: true, portBase: 5222 } as const;
  beforeEach(() => state.write({ ...kept, processes: {} }));

  test("is continued, also when its own options are repeated", async () => {
    expect(await completePlan(state, NOTHING)).toEqual(kept);
    expect(await completePlan(state, { ...NOTHING, topology: "supercluster", secure: true })).toEqual(kept);
  });

  test.each([
    [{ topology: "single" }, "topology supercluster, not single"],
    [{ backend: "process" }, "backend compose, not process"],
    [{ topology: "cluster", backend: "process" }, "backend compose, not process; topology supercluster, not"],
  ] as const)("is not replaced: %o", async (more, text) => {
    await expect(completePlan(state, { ...NOTHING, ...more })).rejects.toThrow(text);
  });
});

test("a plain deployment does not become a secured one; a single server is migrated", async () => {
  await state.write({
    backend: "process",
    topology: "single",
    secure: false,
    portBase: 4222,
    processes: {},
  });
  await expect(completePlan(state, { ...NOTHING, secure: true })).rejects.toThrow(
    /secure false, not true\. "up" without these options continues it, "down --delete-data" deletes it/,
  );
  await expect(completePlan(state, { ...NOTHING, topology: "two-regions" })).rejects.toThrow(
    /"migrate" moves the streams of the single server to a cluster/,
  );
});

describe("without a record, streams on disk", () => {
  const store = (server: string, account: string, stream: string): void =>
    void mkdirSync(join(state.storeDir(server), "jetstream", account, "streams", stream), {
      recursive: true,
    });
  const up = (topology?: Topology, secure?: boolean): Promise<unknown> =>
    completePlan(state, { ...NOTHING, topology, secure });

  test("of a plain single server are not hidden by a cluster or by accounts", async () => {
    store("single", "$G", "KV_IMPORTANT");
    await expect(up()).rejects.toThrow(/a plain cluster would not see: .*single \(account \$G\)/);
    await expect(up("single", true)).rejects.toThrow(/a secured single would not see/);
    expect(await up("single")).toMatchObject({ topology: "single", secure: false });
  });

  test("of a secured cluster are not hidden by a plain one", async () => {
    for (const server of ["n1", "n2", "n3"]) store(server, "BILLING", "KV_KV_CLUSTER_billing");
    await expect(up()).rejects.toThrow(/n1 \(account BILLING\), .*n3 \(account BILLING\)/);
    expect(await up("cluster", true)).toMatchObject({ topology: "cluster", secure: true });
  });

  test("count only if there are any", async () => {
    mkdirSync(join(state.storeDir("single"), "jetstream", "$G", "streams"), { recursive: true });
    mkdirSync(join(state.storeDir("single"), "jetstream", "$SYS", "_js_"), { recursive: true });
    expect(await up()).toMatchObject({ topology: "cluster" });
  });
});
