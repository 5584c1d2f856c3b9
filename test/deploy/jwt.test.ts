/** A secured deployment whose users have nkeys and tokens in place of passwords. */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromPublic, fromSeed } from "@nats-io/nkeys";
import { connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import {
  credsOf,
  issueAccount,
  issueOperator,
  issueUser,
  newAccountKey,
} from "../../scripts/deploy-nats-cluster/jwt/claims.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { startLeader } from "../support/node/test-node.ts";

interface Claims {
  readonly iss: string;
  readonly sub: string;
  readonly nats: Readonly<Record<string, unknown>>;
}

function decode(jwt: string): { readonly claims: Claims; readonly isGenuine: boolean } {
  const [header = "", body = "", signature = ""] = jwt.split(".");
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Claims;
  const signed = new TextEncoder().encode(`${header}.${body}`);
  return { claims, isGenuine: fromPublic(claims.iss).verify(signed, Buffer.from(signature, "base64url")) };
}

test("an operator signs accounts, and an account its users; a changed token is not genuine", () => {
  const [system, account] = [newAccountKey(), newAccountKey()];
  const operator = issueOperator("o", system.getPublicKey(), 1_000);
  const billing = issueAccount(operator.key, account, "BILLING", { jetstream: true }, 1_000);
  const user = issueUser(account, "node", { publish: ["a.>"], subscribe: ["b"] }, 1_000);
  const chain = [operator, billing, user].map(({ jwt }) => decode(jwt));
  expect(chain.map(({ isGenuine }) => isGenuine)).toEqual([true, true, true]);
  expect(chain.map(({ claims }) => [claims.iss, claims.sub])).toEqual([
    [operator.key.getPublicKey(), operator.key.getPublicKey()],
    [operator.key.getPublicKey(), account.getPublicKey()],
    [account.getPublicKey(), user.key.getPublicKey()],
  ]);
  expect(chain[2]?.claims.nats).toMatchObject({
    type: "user",
    pub: { allow: ["a.>"] },
    sub: { allow: ["b"] },
  });
  const [header, body, signature] = user.jwt.split(".");
  const other = Buffer.from(JSON.stringify({ ...chain[2]?.claims, sub: "U" })).toString("base64url");
  expect(body).not.toBe(other);
  expect(decode(`${header}.${other}.${signature}`).isGenuine).toBe(false);
});

test("nodes lead with their credentials, roles keep their limits, new users need no restart, and strangers are refused", async () => {
  const place = await Deployment.make("cluster");
  const result = await place.must("up --jwt --secure");
  const urls = urlsOf(result);
  const users = String(result["credentials"]);
  expect(readdirSync(users).sort()).toEqual(
    ["admin", "node", "node_a", "observer", "operator", "system"].map((user) => `${user}.creds`),
  );
  expect(statSync(join(users, "node.creds")).mode & 0o777).toBe(0o600);
  const as = (user: string) => ({
    servers: urls,
    credsFile: join(users, `${user}.creds`),
    inboxPrefix: user === "admin" ? "_INBOX" : `_INBOX_${user}`,
    tls: { ca: place.ca },
  });

  // The administrator may create the bucket, which a node may not.
  const first = await startLeader(as("admin"), { clusterId: "billing", nodeId: "b", ...as("admin") });
  await first.node.stop();
  const leader = await startLeader(as("node_a"), { clusterId: "billing", nodeId: "a", ...as("node_a") });
  expect(leader.node.epoch).toBe(2);
  const lease = "$KV.KV_CLUSTER_billing.leader";
  const observer = await connectWith(
    urls,
    readFileSync(as("observer").credsFile),
    place.ca,
    "_INBOX_observer",
  );
  await expect(observer.request(lease, "forged")).rejects.toThrow(/Permissions Violation for Publish/);

  // A user that is signed now: the servers know the account's key only.
  const seed = readFileSync(join(place.state, "jwt/keys/BILLING.nk"), "utf8").trim();
  const added = issueUser(fromSeed(new TextEncoder().encode(seed)), "added", null, Date.now());
  const known = await connectWith(urls, new TextEncoder().encode(credsOf(added)), place.ca);
  expect((await known.request("$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing")).string()).toContain(
    '"num_replicas":3',
  );
  const stranger = issueUser(newAccountKey(), "stranger", null, Date.now());
  const refused = connectWith(urls, new TextEncoder().encode(credsOf(stranger)), place.ca);
  await expect(refused).rejects.toThrow(/Authorization Violation|Authentication/i);

  // The other commands use the credentials, too. A restarted server reads its own copy of the accounts.
  const { term } = leader.node;
  await place.must("restart");
  await leader.leads();
  expect(leader.node.term).toBe(term);
  expect((await place.must("backup"))["streams"]).toEqual(
    expect.arrayContaining([expect.objectContaining({ name: "KV_KV_CLUSTER_billing" })]),
  );
  expect((await place.run("rotate")).stderr).toMatch(/this deployment has tokens/);
  expect((await place.run("migrate --jwt")).stderr).toMatch(/omit --size and --jwt/);
});

test("tokens are for a secured cluster of processes, and a deployment keeps its kind of users", async () => {
  const place = await Deployment.make("cluster");
  for (const line of ["up --jwt", "up --secure --jwt --single", "up --secure --jwt --backend compose"])
    expect((await place.run(line)).stderr).toMatch(/--jwt is for --secure, with a cluster of processes/);
  writeFileSync(
    join(place.state, "deployment.json"),
    JSON.stringify({
      backend: "process",
      topology: "cluster",
      secure: true,
      portBase: place.portBase,
      processes: {},
    }),
  );
  expect((await place.run("up --jwt")).stderr).toMatch(/has a deployment with passwords, not tokens/);
});

async function connectWith(
  servers: string[],
  creds: Uint8Array,
  ca: string,
  inboxPrefix = "_INBOX",
): Promise<NatsConnection> {
  const connection = await connect({
    servers,
    authenticator: credsAuthenticator(creds),
    inboxPrefix,
    tls: { caFile: ca },
    reconnect: false,
  });
  atEnd(() => connection.close());
  return connection;
}
