import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { parseCidr } from "../../src/vip/address.ts";
import { type AskableLink, SYSTEM_FOLDERS } from "../../src/vip/ip-command.ts";
import { Neighbours } from "../../src/vip/neighbours.ts";
import { type Host, ip, Lab, whyNoNamespaces } from "../support/vip/network-namespaces.ts";

const why = whyNoNamespaces();

describe.skipIf(why !== null)(
  `questions and announcements to neighbours${why === null ? "" : ` (skipped: ${why})`}`,
  () => {
    let lab: Lab;
    let a: Host;
    let b: Host;
    let link: AskableLink;
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-raw-"));
    beforeAll(() => {
      lab = new Lab();
      a = lab.host("a");
      b = lab.host("b");
      const [found] = JSON.parse(ip("-n", a.namespace, "-json", "link", "show", a.device)) as {
        ifindex: number;
      }[];
      link = { index: found?.ifindex ?? 0, mac: Buffer.from(a.mac.replaceAll(":", ""), "hex") };
    });
    afterAll(async () => {
      await lab[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    });

    /** The tool as it would run on host a. */
    function on(name: "perl" | "python3", text: string): Neighbours {
      const path = join(folder, name);
      writeFileSync(path, `#!/bin/sh\nexec ${a.exec.join(" ")} ${findProgram(name, SYSTEM_FOLDERS)} "$@"\n`, {
        mode: 0o755,
      });
      return new Neighbours(parseCidr(text), [{ name, path }]);
    }

    for (const name of ["perl", "python3"] as const) {
      const missing = findProgram(name, SYSTEM_FOLDERS) === null;
      test.skipIf(missing)(
        `work with ${name}, IPv4 and IPv6${missing ? " (skipped: not installed)" : ""}`,
        async () => {
          for (const theirs of [b.ipv4, "fd77::12"]) {
            const neighbours = on(name, theirs);
            expect(await neighbours.ask(link, 300)).toBe(b.mac);
            neighbours.close();
          }
          for (const unassigned of [lab.address(200), "fd77::200"]) {
            const neighbours = on(name, unassigned);
            neighbours.warm();
            expect(await neighbours.ask(link, 30)).toBeNull();
            // A neighbour updates an existing cache entry for the address.
            ip(
              "-n",
              b.namespace,
              "neigh",
              "replace",
              unassigned,
              "lladdr",
              "02:00:00:00:00:01",
              "dev",
              b.device,
              "nud",
              "stale",
            );
            await neighbours.announce(link);
            await waitFor(() => lab.neighbour(b, unassigned) === a.mac);
            neighbours.close();
          }
        },
      );
    }

    test("start a process again when it has ended, and give the reason when no tool works", async () => {
      const neighbours = on("perl", b.ipv4);
      expect(await neighbours.ask(link, 300)).toBe(b.mac);
      neighbours.close();
      expect(await neighbours.ask(link, 300)).toBe(b.mac);
      neighbours.close();
      const broken = new Neighbours(parseCidr(b.ipv4), [{ name: "perl", path: "/bin/false" }]);
      await expect(broken.ask(link, 30)).rejects.toThrow("perl: the process ended with 1");
      expect(broken.impossible).toContain("perl: the process ended with 1");
      expect(new Neighbours(parseCidr(b.ipv4), []).impossible).toContain("neither perl nor python3");
    });
  },
);
