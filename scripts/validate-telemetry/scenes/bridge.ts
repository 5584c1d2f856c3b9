/** The data bridge: a group with real members, whose metrics and alerts follow what is done to it. */
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../../../examples/observability/stack/child-program.ts";
import type { Checks } from "../checks.ts";
import type { Stage } from "../stage.ts";
import { equal } from "./metrics.ts";

const MAIN = fileURLToPath(new URL("../../../examples/data-bridge/main.ts", import.meta.url));
const START_MS = 60_000;
const STEP_MS = 180_000;
const GROUP = '{group="ticks-bridge"}';
/** Long enough for an alert that an instance is down. */
const RESTART_MS = 8_000;
const SCRIPT =
  "wait balanced; wait 3s; poison 2; wait 3s; slow on; wait paused; wait 25s; slow off; wait resumed; kill 2; wait 12s; wait balanced; wait 3s";

export async function playBridge(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the data bridge: poison, a slow sink, a killed instance");
  const { prometheus } = stage;
  await using bridge = new ChildProgram({
    command: process.execPath,
    args: [
      ...["--import", import.meta.resolve("tsx"), MAIN, "--json", "--sink", "ledger"],
      ...["--servers", stage.servers.urls.join(","), "--targets", stage.targetsFile],
      ...["--rate", "300", "--max-pending", "400", "--batch", "100", "--restart-ms", String(RESTART_MS)],
      // One key: one instance has all of the load.
      ...["--symbols", "1", "--settle-ms", "300", "--script", SCRIPT],
    ],
  });
  await bridge.line(/> poison/, START_MS);
  await checks.until("three members own all six partitions, as all of them see it", async () => {
    const owned = await prometheus.value(`sum(nats_leader_resources_owned${GROUP})`);
    const unowned = await prometheus.value(`max(nats_leader_resources_unowned${GROUP})`);
    const partitions = await prometheus.value("sum(bridge_partitions)");
    return (owned === 6 && unowned === 0 && partitions === 6) || { owned, unowned, partitions };
  });
  await checks.until("BridgeDeadLetters fires", () => stage.fires("BridgeDeadLetters"));
  for (const name of ["BridgeBackPressure", "BridgeConsumerLag"]) {
    await checks.until(`${name} fires while the sink is slow`, () => stage.fires(name));
  }
  await checks.until("BridgeUnevenLoad fires, since one partition has all messages", () =>
    stage.fires("BridgeUnevenLoad"),
  );
  await bridge.line(/> kill 2/, STEP_MS);
  await checks.until("BridgeInstanceDown fires for instance 2", () =>
    stage.fires("BridgeInstanceDown", { instance_number: "2" }),
  );
  await checks.until("its partitions have other owners, and later it has its share again", async () =>
    equal(await prometheus.value(`sum(nats_leader_resources_owned${GROUP})`), 6),
  );
  const [, verdict = ""] = await bridge.line(/"type":"result".*?"ok":(true|false)/, STEP_MS);
  await checks.that(
    "in the end every message was stored exactly once, or is a dead letter",
    () => verdict === "true" || bridge.log.slice(-5),
  );
}
