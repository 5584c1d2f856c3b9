import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { descendantsOf, stateOf } from "../support/processes/proc.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

type Line = { readonly text?: string };

/** Without the time to fetch a server, which global-setup.ts has done. */
const WHOLE_MS = 60_000;
const SCENES = [
  "1  election",
  "2  graceful stop (SIGTERM)",
  "3  step-down by NATS request",
  "4  crash (kill -9)",
  "5  restart after the crash",
  "6  frozen leader (SIGSTOP), thawed",
];

test(
  "the demo completes every scene, epochs increase, and no two processes lead at once",
  async () => {
    await using demo = spawnChild<Line>("examples/demo.ts");
    for (const scene of SCENES) await demo.next((line) => line.text === scene, WHOLE_MS);
    const verdict = await demo.next((line) => /^(ok|failed)/.test(line.text ?? ""), WHOLE_MS);
    expect(verdict.text).toBe("ok: epochs 1, 2, 3, 4, 5; two leaders at once: 0 ms");
    expect(await demo.exit).toEqual({ code: 0, signal: null });
    const rows = summary(demo);
    expect(rows.map((row) => row.scene)).toEqual(SCENES);
    expect(rows.map((row) => row.epoch)).toEqual([1, 2, 3, 4, 4, 5]);
    expect(rows.map((row) => row.overlap)).toEqual(rows.map(() => "0 ms"));
    // The only scene in which nothing is closed: two answers, 2 250 ms apart, confirm that the leader is silent.
    expect(rows.at(-1)?.tookMs).toBeGreaterThan(2_250);
    expect(demo.stderr).toBe("");
  },
  WHOLE_MS,
);

test.skipIf(process.platform !== "linux").each([
  ["while processes start", "1  election", "SIGINT", 130],
  ["between two scenes", "2  graceful stop (SIGTERM)", "SIGINT", 130],
  ["while the leader is frozen", "6  frozen leader (SIGSTOP), thawed", "SIGINT", 130],
  ["by SIGTERM", "3  step-down by NATS request", "SIGTERM", 143],
] as const)(
  "the demo leaves no process behind when it is interrupted %s",
  async (_when, scene, signal, code) => {
    await using demo = spawnChild<Line>("examples/demo.ts");
    await demo.next((line) => line.text === scene, WHOLE_MS);
    if (scene.startsWith("6")) await demo.next((line) => line.text?.includes("SIGSTOP to") === true);
    const pids = descendantsOf(demo.pid);
    expect(pids.length).toBeGreaterThan(0);
    demo.kill(signal);
    expect(await demo.exit).toEqual({ code, signal: null });
    expect(demo.lines.at(-1)?.text).toBe("interrupted");
    await waitFor(() => pids.every((pid) => stateOf(pid) === "X"), { message: "its processes to end" });
  },
  WHOLE_MS,
);

interface Row {
  readonly scene: string;
  readonly epoch: number;
  readonly tookMs: number;
  readonly overlap: string;
}

/** Parses the summary table. */
function summary(demo: Child<Line>): Row[] {
  return demo.lines.flatMap(({ text = "" }) => {
    const found = /^(\d {2}.*?) {2,}(?:. -> .|. stays) +(\d+) +([\d,.]+) ms +(\S+ ms)$/.exec(text);
    if (found === null) return [];
    const [, scene = "", epoch, took = "", overlap = ""] = found;
    return [{ scene, epoch: Number(epoch), tookMs: Number(took.replaceAll(",", "")), overlap }];
  });
}
