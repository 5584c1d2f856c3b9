/** Checks discovery: a daemon is a NATS micro service, and its endpoints answer. Uses the server at NATS_URL if set. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { pingSubject, serviceName, statusSubject, stepdownSubject } from "../../src/nats/names.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { runToExit } from "../../src/system/run-command.ts";
import { mainIfStarted, place, type Script, Validation } from "./support.ts";

type Json = Readonly<Record<string, unknown>>;

export const validateDiscovery: Script = async (say) => {
  const v = new Validation("discovery", say);
  try {
    await using nats = await place(say);
    const connection = await connect({ servers: nats.url });
    try {
      await play(v, connection, nats.url, say);
    } finally {
      await connection.close();
    }
  } finally {
    await v.close();
  }
  return v.results;
};

async function play(
  v: Validation,
  connection: NatsConnection,
  url: string,
  say: (line: string) => void,
): Promise<void> {
  const { clusterId } = v;
  const name = serviceName(clusterId);
  const daemon = v.daemon("node-1", url, { service: { version: "2.0.0" } });
  let seen: Json = {};
  const ask = async (subject: string): Promise<Json> => {
    seen = (await connection.request(subject, "", { timeout: 2_000 })).json<Json>();
    return seen;
  };
  const show = (): unknown => seen;

  await v.check(
    `$SRV.PING finds ${name}, version 2.0.0`,
    async () => {
      const found = await ask(`$SRV.PING.${name}`);
      return found["name"] === name && found["version"] === "2.0.0";
    },
    show,
  );
  await v.check(
    "$SRV.INFO lists status, ping and stepdown",
    async () => {
      const { endpoints } = await ask(`$SRV.INFO.${name}`);
      const names = (endpoints as { readonly name: string }[]).map((endpoint) => endpoint.name);
      return ["status", "ping", "stepdown"].every((one) => names.includes(one));
    },
    show,
  );
  await v.check(
    "$SRV.STATS answers",
    async () => Array.isArray((await ask(`$SRV.STATS.${name}`))["endpoints"]),
    show,
  );
  await v.check(
    "the status endpoint returns node, role, leader and epoch",
    async () => {
      const { nodeId, role, leader, epoch } = await ask(statusSubject(clusterId, "node-1"));
      return nodeId === "node-1" && role === "PRIMARY" && leader === "node-1" && epoch === 1;
    },
    show,
  );
  await v.check(
    "the ping endpoint answers",
    async () => (await ask(pingSubject(clusterId, "node-1")))["ok"] === true,
    show,
  );
  await v.check(
    "the stepdown endpoint steps down",
    async () => (await ask(stepdownSubject(clusterId, "node-1")))["ok"] === true,
    show,
  );
  await natsCli(v, name, url, say);
  daemon.kill("SIGTERM");
  await v.check("the daemon exits 0", async () => (await daemon.exited) === 0);
  await v.check("the stopped daemon is not found any more", async () => {
    try {
      await ask(`$SRV.PING.${name}`);
      return false;
    } catch {
      return true;
    }
  });
}

/** Repeats discovery with the `nats` command, if it is installed. */
async function natsCli(v: Validation, name: string, url: string, say: (line: string) => void): Promise<void> {
  const nats = findProgram("nats");
  if (nats === null) return say("  (skipped: the nats command is not installed)");
  const run = (...args: readonly string[]): Promise<string> =>
    runToExit(nats, [...args, "--server", url], { timeoutMs: 10_000 }).then(({ stdout }) => stdout);
  await v.check("nats micro ls lists it", async () => (await run("micro", "ls")).includes(name));
  await v.check("nats micro info describes it", async () =>
    (await run("micro", "info", name)).includes("stepdown"),
  );
}

await mainIfStarted(import.meta.url, validateDiscovery);
