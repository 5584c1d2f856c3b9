import { describe, expect, test } from "vitest";
import { START_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly text?: string;
}

describe("examples/group", () => {
  test("two members share the partitions, and one gets all when the other is stopped", async () => {
    const member = (id: string) =>
      spawnChild<Line>("examples/group/main.ts", { env: { NATS_URL: server.url, MEMBER_ID: id } });
    const owns = ({ text }: Line): boolean => text?.startsWith("owns ") === true;
    await using a = member("a");
    for (let count = 0; count < 12; count++) await a.next(owns, START_MS);
    await using b = member("b");
    for (let count = 0; count < 6; count++) await b.next(owns, START_MS);
    b.kill("SIGTERM");
    for (let count = 0; count < 6; count++) await a.next(owns, START_MS);
    expect((await b.exit).code).toBe(0);
    expect(b.lines.filter(({ text }) => text?.startsWith("gives up ") === true)).toHaveLength(6);
    a.kill("SIGINT");
    expect((await a.exit).code).toBe(0);
  });
});
