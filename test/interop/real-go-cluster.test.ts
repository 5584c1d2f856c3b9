/** The real go-cluster, where Go can build it: verifies the emulator. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { startNode } from "../support/node/test-node.ts";
import { goTool } from "../support/processes/go-tools.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const MODULE = "github.com/ozanturksever/go-cluster";
const LEASE_TTL_MS = 2000;
const HEARTBEAT_MS = 500;

/** A node of go-cluster that prints every change of its state, steps down on a line of input, and ends with its input. */
const HARNESS = `package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	cluster "${MODULE}"
)

func main() {
	url, clusterID, nodeID := os.Args[1], os.Args[2], os.Args[3]
	node, err := cluster.NewNode(cluster.Config{
		ClusterID: clusterID, NodeID: nodeID, NATSURLs: []string{url},
		LeaseTTL: ${LEASE_TTL_MS} * time.Millisecond, HeartbeatInterval: ${HEARTBEAT_MS} * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, cluster.NoOpHooks{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := node.Start(ctx); err != nil {
		panic(err)
	}
	go func() {
		last := ""
		for ; ; time.Sleep(2 * time.Millisecond) {
			now := fmt.Sprintf("{\\"isLeader\\":%t,\\"leader\\":%q,\\"epoch\\":%d}", node.IsLeader(), node.Leader(), node.Epoch())
			if now != last {
				fmt.Println(now)
			}
			last = now
		}
	}()
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		_ = node.StepDown(ctx)
	}
}
`;

const harness = await goTool({
  name: "go-cluster-harness",
  version: "23f86f49d968b1b137f37ac34e4268d51ec8a70d",
  module: MODULE,
  build: { main: HARNESS },
});
const why = "missing" in harness ? ` (skipped: ${harness.missing})` : "";

interface State {
  readonly isLeader: boolean;
  readonly leader: string;
  readonly epoch: number;
}

describe.skipIf(why !== "")(`the real go-cluster${why}`, () => {
  const server = useNatsServer();

  function start(
    clusterId: string,
    nodeId: string,
  ): { states: Recorder<State>; stepDown(): void; kill(): void } {
    const child = spawn("path" in harness ? harness.path : "", [server.url, clusterId, nodeId], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    atEnd(() => child.kill("SIGKILL"));
    const states = new Recorder<State>();
    createInterface({ input: child.stdout }).on("line", (line) => states.push(JSON.parse(line) as State));
    return { states, stepDown: () => child.stdin.write("\n"), kill: () => child.kill("SIGKILL") };
  }

  const TIMING = {
    leaseTtlMs: LEASE_TTL_MS,
    heartbeatIntervalMs: HEARTBEAT_MS,
    interop: "go-cluster",
  } as const;

  test("and nats-leader take over from each other by step-down and by expiry, as with the emulator", async () => {
    const clusterId = freshId();
    const go = start(clusterId, "go");
    const { epoch } = await go.states.next((state) => state.isLeader, 10_000);
    expect(epoch).toBe(1);
    const operator = await operatorOf(server, clusterId);
    expect(await operator.record()).toEqual({ node_id: "go", epoch: 1, acquired_at: expect.any(Number) });

    const node = await startNode(server, { ...TIMING, clusterId, nodeId: "node", cooldownMs: 0 });
    await node.until(() => node.node.leader?.nodeId === "go");
    go.stepDown();
    const first = await node.becomes();
    expect(first.epoch).toBeGreaterThan(1);
    await go.states.next((state) => state.leader === "node" && !state.isLeader);

    await operator.api(`STREAM.PURGE.KV_KV_CLUSTER_${clusterId}`, {
      filter: `$KV.KV_CLUSTER_${clusterId}.cooldown.>`,
    });
    await node.node.stepDown({ to: "go" });
    const again = await go.states.next((state) => state.isLeader);
    expect(again.epoch).toBe(first.epoch + 1);

    go.kill();
    expect((await node.becomes(3 * LEASE_TTL_MS)).epoch).toBeGreaterThan(again.epoch);
  });
});
