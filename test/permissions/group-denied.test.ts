/** What a member and an operator report when one of the permissions of their role is missing, each tried on a real server. */
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { Group } from "../../src/group/group.ts";
import { groupBucket } from "../../src/nats/group/group-bucket.ts";
import { groupStreamName } from "../../src/nats/names.ts";
import { type GroupPermissionRole, groupGrantsFor } from "../../src/nats/permissions.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { type HereOutput, runHere } from "../support/cli/run-here.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { useForAll } from "../support/use-server.ts";

type Direction = "publish" | "subscribe";

/** One role without one of its permissions, in a group of its own. */
interface Case {
  readonly user: string;
  readonly groupId: string;
  readonly role: GroupPermissionRole;
  readonly direction: Direction;
  /** As the role has it. */
  readonly subject: string;
}

function casesOf(role: GroupPermissionRole): Case[] {
  const sizes = groupGrantsFor({ groupId: "any", role });
  const place = (direction: Direction, index: number): Case => {
    const groupId = `${role}-${direction}-${index}`;
    const subject = groupGrantsFor({ groupId, role })[direction][index]?.subject ?? "";
    return { user: groupId, groupId, role, direction, subject };
  };
  return [
    ...sizes.publish.map((_, index) => place("publish", index)),
    ...sizes.subscribe.map((_, index) => place("subscribe", index)),
  ];
}

const MEMBERS = casesOf("member");
const OPERATORS = casesOf("operator");

function userOf({ user, groupId, role, direction, subject }: Case): string {
  const grants = groupGrantsFor({ groupId, role });
  const rule = (of: Direction): string => {
    const allowed = grants[of].map((one) => one.subject).filter((one) => of !== direction || one !== subject);
    return `${of}: { allow: ${JSON.stringify(allowed)} }`;
  };
  return `{ user: ${JSON.stringify(user)}, password: p, permissions: { ${rule("publish")}, ${rule("subscribe")} } }`;
}

const CONFIG = `accounts { A { jetstream: enabled, users: [
  { user: witness, password: p }
  ${[...MEMBERS, ...OPERATORS].map(userOf).join("\n")}
] } }`;
const server = useForAll(() => startNatsServer({ config: CONFIG }));

async function createBucket(groupId: string): Promise<void> {
  const witness = await connect({ servers: server.url, user: "witness", pass: "p" });
  const config = groupBucket(groupId).newConfig(1, 0);
  const answer = await witness.request(
    `$JS.API.STREAM.CREATE.${groupStreamName(groupId)}`,
    JSON.stringify(config),
  );
  expect(answer.json<{ error?: unknown }>().error).toBeUndefined();
  await witness.close();
}

function memberOf({ groupId, user }: Pick<Case, "groupId" | "user">, memberId: string): Group {
  const inbox = user === "witness" ? {} : { inboxPrefix: groupGrantsFor({ groupId }).inboxPrefix };
  const nats = { servers: server.url, user, pass: "p", ...inbox };
  return new Group({ groupId, memberId, resources: 2, settleMs: 0, logger: false, ...nats });
}

/** Everything that the member reports, and the error of its start. */
async function reportsOf(one: Case): Promise<{ readonly member: Group; readonly texts: string[] }> {
  await createBucket(one.groupId);
  // There is something to read.
  const before = memberOf({ groupId: one.groupId, user: "witness" }, "before");
  await before.start();
  await waitFor(() => before.owned.size === 2, { timeoutMs: PATIENCE_MS });
  await before.stop();
  const member = memberOf(one, "m");
  atEnd(() => member.stop());
  const texts: string[] = [];
  const events = member.events();
  void (async () => {
    for await (const event of events) {
      if (event.type === "warning")
        texts.push(`${event.code}: ${event.message}; ${event.error?.message ?? ""}`);
    }
  })();
  await member.start().catch((error: Error) => texts.push(error.message));
  return { member, texts };
}

/** Noticed only when an operator asks (see below), and by reads. */
const SILENT = (groupId: string): string[] => [
  `group_${groupId}.reply.>`,
  `$JS.EVENT.ADVISORY.STREAM.DELETED.${groupStreamName(groupId)}`,
];

test("a member that lacks a permission names it", async () => {
  await Promise.all(
    MEMBERS.map(async (one) => {
      const { member, texts } = await reportsOf(one);
      const { groupId, subject } = one;
      if (SILENT(groupId).includes(subject)) {
        await waitFor(() => member.owned.size === 2, { timeoutMs: PATIENCE_MS, message: subject });
        return expect(texts).toEqual([]);
      }
      const rule = `"${subject}"`;
      await waitFor(() => texts.some((text) => text.includes(rule) || text.includes(ofPresence(subject))), {
        timeoutMs: PATIENCE_MS,
        message: () => `${one.direction} ${rule} in ${JSON.stringify(texts)}`,
      });
    }),
  );
});

/** The subject of a consumer has its filter as last tokens, and the presence consumer is the first that is refused. */
function ofPresence(subject: string): string {
  return subject.startsWith("$JS.API.CONSUMER.CREATE.")
    ? subject.replace(/>$/, "presence.*")
    : `"${subject}"`;
}

test("a member that may not answer operators reports it once", async () => {
  const one = MEMBERS.find(({ subject }) => subject.startsWith("group_"));
  if (one === undefined) throw new Error("no such permission");
  const { texts } = await reportsOf(one);
  const witness = await connect({ servers: server.url, user: "witness", pass: "p" });
  atEnd(() => witness.close());
  const ask = (): void =>
    witness.publish(`group_${one.groupId}.control.m.rejoin`, "{}", { reply: `group_${one.groupId}.reply.x` });
  ask();
  ask();
  await witness.flush();
  await waitFor(() => texts.length > 0, { timeoutMs: PATIENCE_MS });
  expect(texts).toEqual([
    expect.stringMatching(
      /^SERVICE: operators get no answer .*; allow this user to publish to "group_.*\.reply\.>"/,
    ),
  ]);
});

/** The commands that an operator uses, and the permissions that each takes. */
const COMMANDS: Readonly<Record<string, (groupId: string) => string[]>> = {
  groups: () => ["groups"],
  show: (groupId) => ["group", groupId],
  drain: (groupId) => ["group", "drain", groupId, "a", "--wait", "0s"],
  rejoin: (groupId) => ["group", "rejoin", groupId, "a", "--wait", "0s"],
  move: (groupId) => ["group", "move", groupId, "0", "a", "--wait", "0s"],
};

/** The command that needs the permission, by what is in its subject. */
const NEEDED_BY: readonly (readonly [part: string, command: keyof typeof COMMANDS])[] = [
  ["STREAM.INFO", "show"],
  ["CONSUMER.CREATE", "show"],
  ["CONSUMER.MSG.NEXT", "show"],
  ["STREAM.NAMES", "groups"],
  [".drain", "drain"],
  [".rejoin", "rejoin"],
  [".move", "move"],
  ["_INBOX", "show"],
  [".reply.client.>", "rejoin"],
];

test("an operator that lacks a permission exits 4 at once, and the error names it", async () => {
  for (const one of OPERATORS) {
    const { groupId, user, subject } = one;
    await createBucket(groupId);
    const member = memberOf({ groupId, user: "witness" }, "a");
    await member.start();
    await waitFor(() => member.owned.size === 2, { timeoutMs: PATIENCE_MS });
    const [, command = ""] = NEEDED_BY.find(([part]) => subject.includes(part)) ?? [];
    const args = COMMANDS[command]?.(groupId) ?? [];
    // A request that waited for its time limit would take longer than this test may.
    const { code, stdout, stderr }: HereOutput = await runHere(
      [...args, "--nats-url", server.url, "--timeout", "5m"],
      {
        NATS_LEADER_USER: user,
        NATS_LEADER_PASSWORD: "p",
        NATS_LEADER_INBOX_PREFIX: groupGrantsFor({ groupId, role: "operator" }).inboxPrefix,
      },
    );
    expect([subject, code, stdout, stderr]).toEqual([
      subject,
      4,
      "",
      expect.stringContaining(`"${subject}"`),
    ]);
    await member.stop();
  }
});
