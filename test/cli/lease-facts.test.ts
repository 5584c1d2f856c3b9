/** `status`, `nodes` and `history` show margin, suspensions, suspicions, beats and the NATS server of each node. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { SUSPICION_OUTCOMES } from "../../src/channels/sets.ts";
import type { NodeRow } from "../../src/manager/cluster-nodes.ts";
import type { ClusterStatus } from "../../src/manager/cluster-status.ts";
import type { PastTerm } from "../../src/manager/history-record.ts";
import { cli, configFile, configFor, json, leads, start, startDaemon } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

function count(suspicions: NodeRow["suspicions"] = null): number {
  return Object.values(suspicions ?? {}).reduce((sum, one) => sum + one, 0);
}

/** Long enough for a promise of silence, so that beats are sent. */
const election = { leaseTtlMs: 6_000, heartbeatIntervalMs: 500, cooldownMs: 500 };

test("of a leader, of a follower that has suspected one, and of a term that was given up", async () => {
  const clusterId = freshId();
  const killed = start<{ readonly msg?: string }>(
    ["daemon", "--json", "--config", configFile(configFor(server, clusterId, "a", { election }))],
    {},
  );
  await killed.next(({ msg }) => msg === "This node is now the LEADER");
  const b = await startDaemon(configFor(server, clusterId, "b", { election }));
  const where = ["--config", b.path];
  await waitFor(() => b.manager.node?.leader?.nodeId === "a");
  const nodes = async () => (await json<{ nodes: NodeRow[] }>(["nodes", ...where])).value.nodes;
  const [leader, follower] = await nodes();
  expect(leader).toMatchObject({ nodeId: "a", server: server.name, suspensions: expect.any(Number) });
  expect(leader?.leastMarginMs).toBeGreaterThan(0);
  expect(leader?.leastMarginMs).toBeLessThanOrEqual(6_000);
  expect(leader?.beatRoundTripMs).toBeGreaterThan(0);
  expect(follower).toMatchObject({ nodeId: "b", leastMarginMs: null });
  // A busy machine adds suspicions about a live leader.
  const before = count(follower?.suspicions);
  expect(Object.keys(follower?.suspicions ?? {}).sort()).toEqual([...SUSPICION_OUTCOMES].sort());

  killed.kill("SIGKILL");
  await waitFor(() => leads(b));
  const { value } = await json<ClusterStatus>(["status", ...where]);
  expect(value).toMatchObject({ server: server.name, suspensions: expect.any(Number) });
  expect(count(value.suspicions)).toBeGreaterThan(before);
  const text = (await cli(["status", ...where])).stdout;
  expect(text).toMatch(new RegExp(`^Server: +${server.name}$`, "m"));
  expect(text).toMatch(
    /^Health: +least margin \d\.\d s, beat [\d.]+ ms, \d suspensions?, suspicions: 1 closed/m,
  );
  const table = (await cli(["nodes", ...where])).stdout;
  expect(table).toMatch(
    new RegExp(`^b +leader .* [\\d.]+ ms +\\d\\.\\d s +\\d +1 closed.* ${server.name} +`, "m"),
  );

  // A renewal, whose margin the end of the term reports.
  const renewed = (await json<ClusterStatus>(["status", ...where])).value.lease?.ageMs ?? 0;
  await waitFor(
    async () => ((await json<ClusterStatus>(["status", ...where])).value.lease?.ageMs ?? 0) !== renewed,
  );
  await b.manager.node?.stepDown();
  const terms = async () => (await json<{ terms: PastTerm[] }>(["history", ...where])).value.terms;
  const past = await waitFor(async () =>
    (await terms()).find(({ epoch, why }) => epoch === 2 && why !== null),
  );
  expect(past).toMatchObject({
    nodeId: "b",
    why: "released",
    suspensions: expect.any(Number),
    server: server.name,
  });
  expect(past.leastMarginMs).toBeGreaterThan(0);
  expect(past.leastMarginMs).toBeLessThanOrEqual(6_000);
  // A killed leader records no end.
  expect((await terms()).find(({ epoch }) => epoch === 1)).toMatchObject({
    why: "silent",
    leastMarginMs: null,
    suspensions: null,
    server: null,
  });
});
