/** What is said about an open connection while the configuration of its server is reloaded. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { waitFor } from "../../shared/wait.ts";
import { type ConnzFact, isOldest, type Notes, TWO_ACCOUNTS, withServer } from "./fact.ts";
import { pub } from "./raw-client.ts";

const RELOADS = 30;
/** Questions that are answered between two reloads. */
const BETWEEN = 40;
/** 2.9.10: "no responders", to every question in every account, until the server is restarted. */
const MUTE = "after a reload no question is answered";

/** Another user, and another account in two of three. */
function accounts(count: number): string {
  const user = count % 2 === 0 ? "" : ", { user: x, password: p }";
  const more = count % 3 === 0 ? "" : "C { users: [{ user: c, password: p }] }";
  return TWO_ACCOUNTS.replace("users: [{ user: a, password: p }", `$&${user}`).replace(
    "accounts {",
    `$& ${more}`,
  );
}

/** The accounts of all connections are looked up again when users change. `$G`: only a limit changes. */
async function checkReloads(version: string, notes: Notes, global: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-reload-"));
  const file = join(folder, "changing.conf");
  const write = (count: number): void =>
    writeFileSync(file, global ? `max_payload: ${1_000_000 + count}` : accounts(count));
  write(0);
  // nats-server resolves included paths relative to the including file, even absolute ones.
  const config = `include ${JSON.stringify(relative(join(tmpdir(), "any"), file))}`;
  const place = global ? "$G" : "accounts";
  try {
    await withServer(version, notes, { config, global }, async ({ server, asker, hold }) => {
      const { holder, subject } = await hold();
      holder.write(pub("somewhere", "x", 5));
      await holder.roundTrip();
      await holder.roundTrip();
      const reloaded = (): number =>
        server.logs().filter((line) => line.includes("Reloaded server config")).length;
      const { pid } = server;
      if (pid === undefined) throw new Error("the server must be a process of this machine");
      const look = async (): Promise<void> => {
        const [open, closed] = await Promise.all([
          asker.kind(subject, "open"),
          asker.kind(subject, "closed"),
        ]);
        notes.saw(`${place}: an open connection is ${open.kind}`);
        if (open.kind === "open")
          notes.expect(open.inMsgs === 5, `${place}: the count changes to ${open.inMsgs}`);
        notes.expect(closed.kind !== "closed", `${place}: an open connection is listed as closed`);
      };
      await look();
      for (let count = 1; count <= RELOADS; count += 1) {
        write(count);
        process.kill(pid, "SIGHUP");
        for (let time = 0; time < BETWEEN; time += 1) await look();
        await waitFor(() => reloaded() >= count, { message: "the server to reload its configuration" });
      }
      if (isOldest(version)) {
        const { kind } = await asker.kind(subject, "open");
        notes.expect(kind === "no-answer", `${place}: 2.9 answers after a reload`);
        notes.saw(`${place}: ${MUTE}`);
      } else {
        await waitFor(async () => (await asker.kind(subject, "open")).kind === "open", {
          message: "the connection to be listed after the last reload",
        });
      }
      await holder.roundTrip();
      notes.expect(!holder.closed, `${place}: the connection did not survive`);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const RELOADING: readonly ConnzFact[] = [false, true].map((global) => {
  const place = global ? "$G" : "accounts";
  return {
    name: `${place}: a reload of the configuration closes nothing and resets no count`,
    fake: `${
      global
        ? "In $G no absence was seen."
        : "One answer of many thousands may lack an open connection (2.15.1: 1 of 27 622), and a question may stay unanswered; no answer lists it as closed."
    } A server may stop answering for good (2.9.10).`,
    must: (version: string) => [
      `${place}: an open connection is open`,
      ...(isOldest(version) ? [`${place}: ${MUTE}`] : []),
    ],
    check: (version: string, notes: Notes) => checkReloads(version, notes, global),
  };
});
