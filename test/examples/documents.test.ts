/**
 * Shell blocks of the documents, run as they are printed. Variables of the environment name the server; what this machine does not
 * have is replaced: hosts by the address of a server here, three replicas by one, the path of a pid file.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { streamName } from "../../src/nats/names.ts";
import { freePort, isPortFree } from "../../src/testing/server/run/ports.ts";
import { startNatsServer } from "../../src/testing.ts";
import { blockOf, commandsOf } from "../support/docs/blocks.ts";
import { Shell } from "../support/docs/shell.ts";
import { operatorOf } from "../support/node/operator.ts";
import { QUICK, startLeader } from "../support/node/test-node.ts";
import { findNatsCli } from "../support/processes/nats-cli.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const nats = await findNatsCli();

test("the commands of docs/cli.md, docs/operations.md and docs/security.md work on a server", async () => {
  const shell = new Shell({ NATS_LEADER_SERVERS: server.url });
  const commandsAt = (file: string, starts: string): string[] => commandsOf(blockOf(file, starts));

  const [init = "", daemon = "", status = ""] = commandsAt("docs/cli.md", "nats-leader init");
  expect(await shell.run(init)).toMatchObject({ code: 0, stderr: "" });
  const node = shell.start(daemon);
  await waitFor(async () => /Role: +PRIMARY/.test((await shell.run(status)).stdout), { timeoutMs: 30_000 });

  const [doctor = "", , state = "", watch = ""] = commandsAt("docs/operations.md", "nats-leader doctor");
  const watching = shell.start(watch);
  const hosts = /(?: http:\/\/n\d:8222)+/;
  expect(doctor).toMatch(hosts);
  const examined = await shell.run(doctor.replace(hosts, ` ${server.monitorUrl}`));
  expect([0, 5], examined.stdout).toContain(examined.code); // 5: a warning, of clocks on a busy machine
  expect(await shell.run(state)).toMatchObject({ code: 0 });
  await waitFor(() => watching.stdout.includes('"leader":"a"') || watching.stdout.includes('"a"'));
  await watching.end();
  await node.end();

  writeFileSync(join(shell.home, "worker"), '#!/bin/sh\necho "epoch $LEADER_EPOCH: $*"\nexit 7\n', {
    mode: 0o755,
  });
  const [run = ""] = commandsAt("docs/cli.md", "nats-leader run");
  expect(await shell.run(run)).toMatchObject({ code: 7, stdout: "epoch 2: --queue jobs\n" });

  for (const [start, subject] of [
    ["nats-leader permissions administrator --cluster-id", "$KV.KV_CLUSTER_billing.leader"],
    ["nats-leader permissions administrator --group", "$KV.GROUP_orders.owner.*"],
  ] as const) {
    const printed = await shell.run(blockOf("docs/security.md", start).code);
    expect(printed).toMatchObject({ code: 0, stderr: "" });
    expect(printed.stdout).toContain(subject);
  }

  const [bash = "", , fish = ""] = commandsAt("docs/cli.md", "source <(");
  expect((await shell.run(`${bash}; complete -p nats-leader`, "bash")).stdout).toMatch(
    /^complete .*nats-leader/,
  );
  mkdirSync(join(shell.home, ".config/fish/completions"), { recursive: true });
  expect(await shell.run(fish)).toMatchObject({ code: 0 });
  expect(readFileSync(join(shell.home, ".config/fish/completions/nats-leader.fish"), "utf8")).toContain(
    "complete -c nats-leader",
  );
});

test("the administrator of examples/permissions creates the bucket", async () => {
  const port = await freePort("127.0.0.1");
  const shell = new Shell({ NATS_LEADER_SERVERS: `nats://127.0.0.1:${port}` });
  symlinkSync(join(ROOT, "examples"), join(shell.home, "examples")); // ./nats-data is created in the working directory
  const start = blockOf("examples/permissions/README.md", "export ADMINISTRATOR").code;
  const running = shell.start(`${start} --addr 127.0.0.1 --port ${port}`);
  await waitFor(async () => !(await isPortFree(port, "127.0.0.1")));
  const { code } = blockOf("examples/permissions/README.md", "NATS_LEADER_USER");
  expect(await shell.run(code)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("bucket KV_CLUSTER_billing created, 1 replica\n"),
  });
  await running.end();
});

test("a server is put into lame duck mode as docs/operations.md says", async () => {
  const shell = new Shell({});
  const file = join(shell.home, "nats-server.pid");
  await using old = await startNatsServer({ config: `pid_file: ${JSON.stringify(file)}` });
  const [signal = ""] = commandsOf(blockOf("docs/operations.md", "nats-server --signal"));
  expect(await shell.run(signal.replace("/var/run/nats-server.pid", file))).toMatchObject({ code: 0 });
  await waitFor(async () => (await isPortFree(Number(new URL(old.url).port), "127.0.0.1")) || undefined);
});

const why = "missing" in nats ? ` (SKIPPED: ${nats.missing})` : "";
test.skipIf("missing" in nats)(`epochs continue after the recovery of docs/operations.md${why}`, async () => {
  await using place = await startNatsServer();
  const shell = new Shell({ NATS_URL: place.url }, { nats: "path" in nats ? nats.path : "" });
  const operator = await operatorOf(place, "billing");
  const history = { name: "LEADER_HISTORY_billing", subjects: ["nats_leader.history.billing"] };
  await operator.api(`STREAM.CREATE.${history.name}`, history);

  const text = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
  const [, backup = ""] = /`(nats stream backup [^`]+)`/.exec(text) ?? [];
  expect(await shell.run(backup)).toMatchObject({ code: 0 });
  await operator.api(`STREAM.DELETE.${history.name}`);

  const { code } = blockOf("docs/operations.md", "# no node runs");
  expect(code).toContain("--replicas 3");
  expect(await shell.run(code.replace("--replicas 3", "--replicas 1"))).toMatchObject({ code: 0 });
  expect(await operator.api(`STREAM.INFO.${history.name}`)).toMatchObject({ config: history });
  const leader = await startLeader(place, { ...QUICK, clusterId: "billing", nodeId: "a" });
  expect(leader.node.epoch).toBe(42);
  await leader.node.stop();
  expect(await operator.api(`STREAM.INFO.${streamName("billing")}`)).toMatchObject({
    config: { num_replicas: 1 },
  });
});
