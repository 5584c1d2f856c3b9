/** The command `ui`, and the page of a daemon: as processes. */
import { describe, expect, test } from "vitest";
import type { AccountView, ClusterCard } from "../../src/ui/model/types.ts";
import { cli, configFile, configFor, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { get } from "../support/http/door.ts";
import { Viewer } from "../support/ui/served-page.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("ui prints its URL, serves the page, and ends at SIGINT although a viewer is connected", async () => {
  const program = start<{ readonly url?: string; readonly control?: boolean }>([
    ...["ui", "--json", "--nats-url", server.url, "--listen", "127.0.0.1:0"],
  ]);
  const { url = "", control } = await program.next((line) => line.url !== undefined);
  expect(control).toBe(false);
  const viewer = await Viewer.open(url);
  await viewer.until<AccountView>("account", ({ connected, listed }) => connected && listed);
  expect(await (await fetch(`${url}page.js`)).text()).toContain("EventSource");
  program.kill("SIGINT");
  expect((await program.exit).code).toBe(0);
});

test("a daemon serves the page beside its other answers, read-only", async () => {
  const clusterId = freshId();
  const config = configFile(configFor(server, clusterId, "a"));
  const flags = ["--http", "127.0.0.1:0", "--ui", "--json"];
  const daemon = start<{ readonly msg?: string; readonly url?: string }>([
    "daemon",
    "--config",
    config,
    ...flags,
  ]);
  const { url = "" } = await daemon.next((line) => line.url !== undefined);
  await daemon.next((line) => line.msg === "This node is now the LEADER");
  const viewer = await Viewer.open(`${url}/ui/`);
  await viewer.until<ClusterCard>(`cluster/${clusterId}`, ({ leader }) => leader === "a");
  const refused = await fetch(`${url}/ui/control`, { method: "POST" });
  expect([refused.status, await refused.json()]).toMatchObject([403, { ok: false }]);
  await daemon.next(({ msg = "" }) => msg.startsWith("request refused: this page is read-only"));
  const leader = await fetch(`${url}/leader`);
  expect([leader.status, await leader.json()]).toMatchObject([200, { nodeId: "a" }]);
  daemon.kill("SIGTERM");
  expect((await daemon.exit).code).toBe(0);
});

test("ui with control logs what is refused before the page gets it: another origin, another name, a name without a dot", async () => {
  const program = start<{ readonly url?: string }>([
    ...["ui", "--json", "--nats-url", server.url, "--listen", "127.0.0.1:0", "--allow-control"],
    ...["--allow-host", "ops"],
  ]);
  const { url = "" } = await program.next((line) => line.url !== undefined);
  const { host, port } = new URL(url);
  const post = async (name: string, origin: string): Promise<number> => {
    const headers = { host: name, origin: `http://${origin}`, "content-type": "application/json" };
    return (await get(`${url}control`, { method: "POST", headers, body: "{}" })).status;
  };
  const seen: [string, number][] = [];
  for (const [name, origin] of [
    [host, "evil.example"],
    [host, "127.0.0.1:1"],
    [`evil.example:${port}`, `evil.example:${port}`],
    [`wiki:${port}`, `wiki:${port}`],
    // Let through to the page, which demands its token.
    [`ops:${port}`, `ops:${port}`],
    [`localhost:${port}`, `localhost:${port}`],
  ] as const)
    seen.push([name, await post(name, origin)]);
  expect(seen.map(([, status]) => status)).toEqual([403, 403, 421, 421, 403, 403]);
  // Reading needs no more than a name without a dot.
  expect((await get(url, { headers: { host: `wiki:${port}` } })).status).toBe(200);
  program.kill("SIGINT");
  expect((await program.exit).code).toBe(0);
  const lines = program.stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const foreign = "a page of another site sent this request";
  const name = "this host name is not allowed here: use an address or localhost, or add the name to hosts";
  const earlier = "the page is of an earlier run of this server: load it again";
  expect(lines.filter(({ event }) => event === "ui-control")).toMatchObject(
    [foreign, foreign, name, name, earlier, earlier].map((reason) => ({
      ok: false,
      from: "127.0.0.1",
      reason,
    })),
  );
});

describe("is refused", () => {
  test.each([
    [["ui", "--listen", "0.0.0.0:0", "--allow-control"], 2, /loopback address.*ssh -L/s],
    [["ui", "--listen", "nowhere"], 2, /--listen "nowhere" must be/],
    [["ui", "--nats-url", "nats://127.0.0.1:1"], 4, /127\.0\.0\.1:1/],
    [
      ["daemon", "--cluster-id", "c", "--node-id", "n", "--nats-url", "nats://127.0.0.1:1", "--ui"],
      2,
      /--ui needs an HTTP server/,
    ],
  ] as const)("%j", async (args, code, reason) => {
    const { code: found, stderr } = await cli([...args]);
    expect([found, stderr]).toEqual([code, expect.stringMatching(reason)]);
  });
});
