/** `doctor --bucket NAME --permissions USER` on a real server: the rights that it names are those that the application then needs. */
import { Kvm } from "@nats-io/kv";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { Finding } from "../../src/doctor/findings/finding.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { json } from "../support/cli/run-cli.ts";

interface Report {
  readonly findings: readonly Finding[];
  readonly unseen: readonly { readonly what: string }[];
}

/** A server whose user `shop` may publish to these subjects; `admin` has created bucket `prices`. */
async function serve(allowed: readonly string[]): Promise<NatsServer> {
  const publish = JSON.stringify(["$SYS.REQ.USER.INFO", ...allowed]);
  const server = await startNatsServer({
    config: `accounts { SHOP {
      jetstream: { max_mem: 0, max_file: 10MB, max_streams: 5, max_consumers: 10 }
      users: [
        { user: admin, password: a }
        { user: shop, password: s, permissions { publish { allow: ${publish} }, subscribe { allow: ["_INBOX.>"] } } }
      ]
    } }`,
  });
  atEnd(() => server[Symbol.asyncDispose]());
  const admin = await connectAs(server, "admin", "a");
  await new Kvm(admin).create("prices", { max_bytes: 1_000_000, replicas: 1 });
  return server;
}

async function connectAs(server: NatsServer, user: string, pass: string): Promise<NatsConnection> {
  const connection = await connect({ servers: server.url, user, pass });
  atEnd(() => connection.close());
  return connection;
}

const doctor = (server: NatsServer, ...args: string[]) =>
  json<Report>(["doctor", "--timeout", "10s", "--nats-url", server.url, "--permissions", "shop", ...args], {
    env: { NATS_LEADER_PASSWORD: "s", NATS_LEADER_INBOX_PREFIX: "_INBOX" },
  });

/** The subjects in the lines to add. */
const advised = ({ findings }: Report): string[] =>
  findings.flatMap(({ code, todo }) =>
    code === "permission-missing" ? (/allow: \["([^"]+)"\]/.exec(todo)?.[1] ?? todo) : [],
  );

/** What an application does with a bucket. */
async function use(server: NatsServer): Promise<string[]> {
  const prices = await new Kvm(await connectAs(server, "shop", "s")).open("prices");
  await prices.put("apple", "1");
  expect((await prices.get("apple"))?.string()).toBe("1");
  const seen: string[] = [];
  for await (const entry of await prices.watch()) {
    seen.push(entry.key);
    if (entry.delta === 0) break;
  }
  await prices.delete("apple");
  return seen;
}

describe("the credentials of an application", () => {
  test("with the lines that doctor names, it can read, write and watch; doctor then has no finding", async () => {
    const before = await serve(["$JS.API.INFO"]);
    const { code, value } = await doctor(before, "--bucket", "prices");
    expect(code).toBe(6);
    const lines = advised(value);
    expect(lines).toContain("$KV.prices.>");
    expect(value.unseen.map(({ what }) => what)).toContain("replicas, limits and placement of bucket prices");
    await expect(use(before)).rejects.toThrow(/Permissions Violation/);

    const after = await serve(["$JS.API.INFO", ...lines]);
    const ready = await doctor(after, "--bucket", "prices");
    expect([ready.code, ready.value.findings]).toEqual([0, []]);
    expect(await use(after)).toEqual(["apple"]);
  });

  test("a reader needs no right to write; a bucket without a limit, and one that is missing, are found", async () => {
    const server = await serve(["$JS.API.>", "$JS.FC.>"]);
    expect((await doctor(server, "--bucket", "prices", "--read-only")).code).toBe(0);
    const writer = await doctor(server, "--bucket", "prices");
    expect(advised(writer.value)).toEqual(["$KV.prices.>"]);
    const admin = await connectAs(server, "admin", "a");
    const info = await (await new Kvm(admin).open("prices")).status();
    expect(info.streamInfo.config.max_bytes).toBe(1_000_000);
    const large = { ...info.streamInfo.config, max_bytes: -1 };
    await admin.request("$JS.API.STREAM.UPDATE.KV_prices", JSON.stringify(large));
    const found = await doctor(server, "--bucket", "prices", "--bucket", "orders", "--read-only");
    expect(found.value.findings.map(({ severity, code, where }) => `${severity} ${code} @ ${where}`)).toEqual(
      ["critical application-bucket-missing @ bucket orders", "note application-unlimited @ bucket prices"],
    );
  });
});
