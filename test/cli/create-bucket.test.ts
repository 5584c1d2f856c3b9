/** Where the revisions of a bucket begin that an administrator creates. */
import { expect, test } from "vitest";
import { MAX_EPOCH } from "../../src/election/epochs.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast } from "../../src/nats/api/server-version.ts";
import { historySubject } from "../../src/nats/names.ts";
import { startCluster } from "../support/cli/run-cli.ts";
import { type HereOutput, runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

function createBucket(clusterId: string, ...more: string[]): Promise<HereOutput> {
  return runHere(["create-bucket", "--cluster-id", clusterId, "--nats-url", server.url, ...more]);
}

/** A cluster whose bucket was deleted after terms with these epochs. */
async function withRecordedTerms(epochs: readonly number[]): Promise<string> {
  const clusterId = freshId();
  expect(await createBucket(clusterId)).toMatchObject({ code: 0, stderr: "" });
  const operator = await operatorOf(server, clusterId);
  for (const epoch of epochs) {
    const entry = { kind: "begin", node_id: "a", epoch, at: 1_700_000_000_000 };
    await operator.connection.request(historySubject(clusterId), JSON.stringify(entry));
  }
  await operator.deleteBucket();
  return clusterId;
}

test("is behind the epochs of the recorded terms, and the next epoch, too", async () => {
  const clusterId = await withRecordedTerms([40, 41]);
  const { stdout, stderr } = await createBucket(clusterId);
  if (!isAtLeast(server.version, FIRST_SEQUENCE_SINCE)) {
    expect(stderr).toMatch(/begins every bucket at revision 1; only a node that has seen epoch 41/);
    return;
  }
  expect({ stdout, stderr }).toEqual({
    stdout: `bucket KV_CLUSTER_${clusterId} created, 1 replica, revisions begin at 42\nstream LEADER_HISTORY_${clusterId} exists\n`,
    stderr: "",
  });
  const [a] = await startCluster(server, clusterId, ["a"]);
  expect(a?.manager.node?.epoch).toBeGreaterThan(41);
});

test.skipIf(!isAtLeast(process.env["NATS_TEST_VERSION"] ?? "3.0.0", FIRST_SEQUENCE_SINCE))(
  "is 1 without terms, does not follow an epoch that no node can have reached, and can be given",
  async () => {
    const first = async (clusterId: string, ...more: string[]): Promise<unknown> => {
      const { stdout } = await createBucket(clusterId, "--json", ...more);
      return JSON.parse(stdout);
    };
    expect(await first(freshId())).toMatchObject({ created: true, firstRevision: 1 });
    expect(await first(await withRecordedTerms([7, MAX_EPOCH]))).toMatchObject({ firstRevision: 8 });
    const given = await withRecordedTerms([7]);
    expect(await first(given, "--first-revision", "5000")).toMatchObject({ firstRevision: 5000 });
    const { stderr } = await createBucket(given, "--first-revision", "6000");
    expect(stderr).toBe("note: the bucket exists, so --first-revision has no effect\n");
    const operator = await operatorOf(server, given);
    expect(await operator.api(`STREAM.INFO.KV_KV_CLUSTER_${given}`)).toMatchObject({
      state: { first_seq: 5000 },
    });
  },
);
