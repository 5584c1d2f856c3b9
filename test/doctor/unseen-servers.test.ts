/** What doctor says about servers that it hears of and cannot read. */
import { expect, test } from "vitest";
import { unknownServer } from "../../src/doctor/sources/read-server.ts";
import { unseenServers } from "../../src/doctor/unseen-servers.ts";
import { meta, peer, server } from "../support/doctor/healthy-cluster.ts";

const [n1, n2, n3] = ["n1", "n2", "n3"].map((name) => server(name)) as [
  ReturnType<typeof server>,
  ReturnType<typeof server>,
  ReturnType<typeof server>,
];
const silent = (url: string) => ({ ...unknownServer(url, "monitoring"), url, error: "refused" });

const how = (servers: Parameters<typeof unseenServers>[0]) => unseenServers(servers).map((one) => one.how);

test("nothing of a server that was read, or is known to be offline", () => {
  expect(unseenServers([n1, n2, n3])).toEqual([]);
  const offline = meta({ peers: [peer("n2"), peer("n3", { offline: true })] });
  const without = { routes: ["n2"], meta: offline };
  expect(unseenServers([server("n1", without), server("n2", { routes: ["n1"], meta: null })])).toEqual([]);
});

test("a monitoring port that was not passed can be passed", () => {
  const [unseen] = unseenServers([n1, n2]);
  expect(unseen?.what).toMatch(/ of n3$/);
  expect(unseen?.how).toMatch(/^pass --monitor http:\/\/HOST:8222 for each server, or pass --system-creds/);
  expect(how([n1, silent("http://x:8222")])[0]).toMatch(/^pass --monitor/); // two servers, one port
});

test("a port that was passed and does not answer has to answer: the name of its server is not known", () => {
  const port = "http://10.0.0.3:8222";
  expect(how([n1, n2, silent(port)])).toEqual([
    `get an answer from ${port}, or pass --system-creds FILE (or --system-user) of the system account`,
  ]);
  // Known by its name, it is one of the findings.
  expect(unseenServers([n1, n2, { ...silent(port), name: "n3" }])).toEqual([]);
});
