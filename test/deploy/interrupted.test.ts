/** A signal ends the failover test and a change of the number of servers in order. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test, vi } from "vitest";
import { untilSignal } from "../../src/cli/signals.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { recorded, signalled } from "../support/deploy/signalled.ts";

/** Five servers are started, stopped and removed: half a minute, or minutes on a busy machine. */
const LONG_MS = 300_000;

test("a signal ends failover-test with every server up and nothing left, and scale with a record that up completes", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster", 5);
  const urls = urlsOf(await place.must("up"));

  const tested = await signalled(
    place,
    ["failover-test"],
    "SIGTERM",
    ({ processes }) => !("n1" in processes),
  );
  expect(tested).toMatchObject({
    code: 143,
    ok: false,
    error:
      "interrupted by SIGTERM: every server runs again; stream FAILOVER_TEST and the election failover-test were deleted",
  });
  expect(Object.keys(recorded(place).processes).sort()).toEqual(["n1", "n2", "n3"]);
  const nats = await connect({ servers: urls });
  atEnd(() => nats.close());
  expect(await (await jetstreamManager(nats)).streams.names().next()).toEqual([]);

  await place.must("scale 5");
  expect(recorded(place)).not.toHaveProperty("scaling");
  const unfinished = 'the change from 5 to 3 servers is unfinished: "scale 3" or "up" completes it';
  const left = await signalled(
    place,
    ["scale", "3"],
    "SIGINT",
    ({ scaling }) => scaling?.leaving.length === 1,
  );
  expect(left).toMatchObject({ code: 130, error: `interrupted by SIGINT: ${unfinished}` });
  expect(await place.run("status")).toMatchObject({ code: 1, result: { ok: false, missing: unfinished } });
  expect((await place.run("scale 5")).result).toEqual({
    ok: false,
    error: `nothing was changed: ${unfinished}`,
  });
  expect(urlsOf(await place.must("up"))).toEqual(urls);
  expect(recorded(place)).not.toHaveProperty("scaling");
  expect(await place.healthy()).toMatchObject({ servers: [{}, {}, {}] });
  // No server refuses the names of those that were removed.
  expect(urlsOf(await place.must("scale 5"))).toHaveLength(5);
});

test("a signal shortly after the first one counts as its copy: npm forwards the Ctrl-C that the terminal sends to all", () => {
  const first: string[] = [];
  const second = vi.fn();
  const ending = untilSignal((name) => first.push(name), second, 60_000);
  try {
    process.emit("SIGINT");
    process.emit("SIGINT");
  } finally {
    ending.close();
  }
  expect(first).toEqual(["SIGINT"]);
  expect(second).not.toHaveBeenCalled();
});
