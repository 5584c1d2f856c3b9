import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { type Host, Lab, whyNoNamespaces, whyNoSocketKill } from "../support/vip/network-namespaces.ts";
import { type Member, VipCluster, type VipClusterOptions } from "../support/vip/vip-cluster.ts";

/** Of a `VipCluster` without options. */
const DEFAULT_TTL_MS = 10_000;
const why = whyNoNamespaces();
const whyNoKill = why === null ? whyNoSocketKill() : null;

describe.skipIf(why !== null)(`a virtual IP of two hosts${why === null ? "" : ` (skipped: ${why})`}`, () => {
  let lab: Lab;
  let hosts: readonly [Host, Host];
  let client: Host;
  let url: string;
  beforeAll(async () => {
    lab = new Lab();
    hosts = [lab.host("a"), lab.host("b")];
    client = lab.host("client");
    url = (await lab.natsServer()).url;
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  /** Calls `breakIt`, and resolves with the measurements once the second host answers the client. */
  async function failover(
    options: VipClusterOptions,
    breakIt: (a: Member, b: Member, cluster: VipCluster) => unknown,
    timeoutMs?: number,
  ): Promise<{ gapMs: number; overlapMs: number; a: Member; b: Member }> {
    await using cluster = new VipCluster(lab, options);
    const [a, b] = await cluster.start(hosts, client, url);
    if (a === undefined || b === undefined) throw new Error("two hosts");
    await breakIt(a, b, cluster);
    await cluster.answeredBy(b.host, timeoutMs);
    await b.child.next((line) => line.hook === "become");
    const { gapMs, overlapMs, samples } = await cluster.outcome();
    expect(samples).toBeGreaterThan(100);
    return { gapMs, overlapMs, a, b };
  }

  test("moves on a step-down: it is removed before the lease is released, and added before onBecomeLeader", async () => {
    const { gapMs, overlapMs, a, b } = await failover({}, ({ child }) =>
      child.send({ do: "stepdown", to: "b" }),
    );
    expect(overlapMs).toBeLessThan(0);
    expect(gapMs).toBeLessThan(DEFAULT_TTL_MS / 2);
    const gone = a.child.lines.find((line) => line.state === "absent")?.at ?? Number.NaN;
    const lose = a.child.lines.find((line) => line.hook === "lose");
    const become = b.child.lines.find((line) => line.hook === "become");
    expect(lose).toMatchObject({ vipHeld: false });
    expect(become).toMatchObject({ vipHeld: true });
    const waiting = b.child.lines.find((line) => line.state === "waiting")?.at ?? Number.NaN;
    expect(gone).toBeLessThan(lose?.at ?? Number.NaN);
    expect(lose?.at).toBeLessThan(waiting);
  });

  test("moves without waiting for the lease after a kill -9 of the leader's process", async () => {
    const { gapMs, overlapMs } = await failover({}, ({ child }) => child.kill("SIGKILL"));
    expect(overlapMs).toBeLessThan(0);
    expect(gapMs).toBeLessThan(DEFAULT_TTL_MS / 2);
  });

  test("moves without waiting for the lease after a kill -9 with IPv6", async () => {
    const { gapMs, overlapMs } = await failover({ family: 6 }, ({ child }) => child.kill("SIGKILL"));
    expect(overlapMs).toBeLessThan(0);
    expect(gapMs).toBeLessThan(DEFAULT_TTL_MS / 2);
  });

  test("moves when the kernel has removed it, if process and keeper are killed together, and is never on both hosts", async () => {
    const { overlapMs, b } = await failover({ leaseTtlMs: 4000 }, async ({ child }) => {
      child.send({ do: "keeper" });
      const { keeper = 0 } = await child.next((line) => line.keeper !== undefined);
      execFileSync("kill", ["-9", String(keeper), String(child.pid)]);
    });
    expect(overlapMs).toBeLessThan(0);
    expect(b.child.lines.some((line) => line.event === "vip-waiting")).toBe(true);
  });

  test.each([
    ["its lease has expired", { leaseTtlMs: 4000 }],
    // By default a leader with a virtual IP and a lease of 10 s promises 5 s of silence.
    ["its silence is confirmed", {}],
  ])(
    "is removed from a frozen leader's host before another node can lead, because %s",
    async (_, options) => {
      const { overlapMs, a } = await failover(options, async ({ host, child }, b, { vip }) => {
        child.kill("SIGSTOP");
        await waitFor(() => lab.addresses(host, vip).length === 0, { intervalMs: 5 });
        expect(b.child.lines.filter((line) => line.hook === "become" || line.state === "waiting")).toEqual(
          [],
        );
      });
      expect(overlapMs).toBeLessThan(0);
      a.child.kill("SIGCONT");
    },
  );

  test.skipIf(whyNoKill !== null).each([["runs"], ["is frozen"]])(
    `is removed before the next leader adds it, if the server alone knows that the leader's connection is closed, and the leader %s${whyNoKill === null ? "" : ` (skipped: ${whyNoKill})`}`,
    async (how) => {
      const { overlapMs, b } = await failover({}, ({ host, child }) => {
        if (how === "is frozen") child.kill("SIGSTOP");
        atEnd(lab.closeServerSide(host));
      });
      expect(overlapMs).toBeLessThan(0);
      // It leads at once, and the address still answers.
      expect(b.child.lines.some((line) => line.event === "vip-waiting")).toBe(true);
    },
  );

  // NATS_LEADER_VIP_ROUNDS=20 npx vitest run test/vip/failover: the figures of docs/vip.md.
  const rounds = Number(process.env["NATS_LEADER_VIP_ROUNDS"] ?? 0);
  test.skipIf(rounds === 0).each([
    ["step-down", {}],
    ["kill -9", {}],
    ["kill -9", { family: 6 }],
    ["kill -9 of process and keeper, W = 4 s", { leaseTtlMs: 4000 }],
  ] as const)(
    "moves in every round of NATS_LEADER_VIP_ROUNDS: %s %o",
    async (how, options) => {
      const gaps: number[] = [];
      let nearest = Number.NEGATIVE_INFINITY;
      for (let round = 0; round < rounds; round++) {
        const { gapMs, overlapMs } = await failover(options, async ({ child }) => {
          if (how === "step-down") return child.send({ do: "stepdown", to: "b" });
          if (how === "kill -9") return child.kill("SIGKILL");
          await killWithKeeper(child);
        });
        gaps.push(gapMs);
        nearest = Math.max(nearest, overlapMs);
      }
      gaps.sort((x, y) => x - y);
      const at = (share: number): string =>
        (gaps[Math.ceil(gaps.length * share) - 1] ?? Number.NaN).toFixed(0);
      console.log(
        `${how} ${JSON.stringify(options)}: gap p50 ${at(0.5)} p90 ${at(0.9)} max ${at(1)} ms, never closer than ${(-nearest).toFixed(0)} ms`,
      );
      expect(nearest).toBeLessThan(0);
    },
    600_000,
  );
});

async function killWithKeeper(child: Member["child"]): Promise<void> {
  child.send({ do: "keeper" });
  const { keeper = 0 } = await child.next((line) => line.keeper !== undefined);
  execFileSync("kill", ["-9", String(keeper), String(child.pid)]);
}
