/** `doctor --group` on a real server. */
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { groupGrantsFor } from "../../src/nats/permissions.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { useForAll } from "../support/use-server.ts";

const GROUP = "orders";

function userOf(role: "operator" | "observer"): string {
  const { publish, subscribe } = groupGrantsFor({ groupId: GROUP, role });
  const list = (grants: typeof publish): string => JSON.stringify(grants.map(({ subject }) => subject));
  return `{ user: ${role}, password: p, permissions: { publish: { allow: ${list(publish)} }, subscribe: { allow: ${list(subscribe)} } } }`;
}

const CONFIG = `no_auth_user: w
accounts { A { jetstream: enabled, users: [
  { user: w, password: p }
  ${userOf("operator")}
  ${userOf("observer")}
] } }`;
const server = useForAll(() => startNatsServer({ config: CONFIG }));

interface Report {
  readonly findings: readonly { readonly severity: string; readonly code: string; readonly where: string }[];
  readonly unseen: readonly { readonly what: string; readonly how: string }[];
  readonly groups: readonly {
    readonly groupId: string;
    readonly view: { readonly owned: number; readonly resources: number } | null;
    readonly permissions: { readonly role: string } | null;
  }[];
}

async function doctor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await runHere(
    ["doctor", ...args, "--nats-url", server.url, "--json"],
    env,
  );
  if (stdout === "") throw new Error(stderr);
  return { code, report: JSON.parse(stdout) as Report };
}

const login = (role: string): Record<string, string> => ({
  NATS_LEADER_USER: role,
  NATS_LEADER_PASSWORD: "p",
  NATS_LEADER_INBOX_PREFIX: `_INBOX_group_${role}`,
});

test("a healthy group has no findings, also with the rights of an operator; with those of an observer it says what is not seen", async () => {
  const members = new RealGroup(server.url, { groupId: GROUP, resources: 4 });
  for (const id of ["a", "b"]) await members.start(id);
  await members.untilShares({ a: 2, b: 2 });
  const { code, report } = await doctor(["--group", GROUP]);
  expect([code, report.findings]).toEqual([0, []]);
  expect(report.groups).toMatchObject([{ groupId: GROUP, view: { owned: 4, resources: 4 } }]);
  expect(JSON.stringify(report.groups)).not.toContain('"forMs"');
  const text = await runHere(["doctor", "--group", GROUP, "--nats-url", server.url]);
  expect(text.stdout).toContain(`group ${GROUP}: 2 members, 4 resources, 4 owned, 0 moving, 0 unowned`);

  const operator = await doctor(["--group", GROUP], login("operator"));
  expect([operator.code, operator.report.findings]).toEqual([0, []]);
  expect(operator.report.groups[0]?.permissions?.role).toBe("operator");

  const observer = await doctor(["--group", GROUP], login("observer"));
  expect(observer.report.findings).toEqual([]);
  expect(observer.report.unseen).toContainEqual({
    what: `the members and resources of group ${GROUP}`,
    how: expect.stringContaining("nats-leader permissions operator --group orders"),
  });
  const asMember = await doctor(["--group", GROUP, "--role", "node"], login("operator"));
  expect(asMember.code).toBe(6);
  expect(asMember.report.findings).toContainEqual(
    expect.objectContaining({ code: "permission-missing", what: expect.stringContaining('role "member"') }),
  );
});

test("members with other lists, a refusing and a drained one are found; so are a bucket that does not fit and none", async () => {
  const members = new RealGroup(server.url, { resources: 3 });
  const { groupId } = members;
  const onOwn = (): never => {
    throw new Error("no");
  };
  await members.start("a");
  await members.start("b", { resources: 2 });
  await members.start("c", {}, { onOwn });
  await waitFor(
    async () => {
      const { report } = await doctor(["--group", groupId]);
      const codes = report.findings.map(({ severity, code, where }) => `${severity} ${code} @ ${where}`);
      return (
        codes.includes(`warning group-lists-differ @ group ${groupId}`) &&
        codes.includes(`warning group-member-refuses @ member c of group ${groupId}`)
      );
    },
    { timeoutMs: 30_000 },
  );
  void members.members.get("b")?.drain();
  await waitFor(
    async () => {
      const { report } = await doctor(["--group", groupId]);
      return report.findings.some(({ code }) => code === "group-member-draining");
    },
    { timeoutMs: 30_000 },
  );

  const other = freshId("g");
  const witness = await connect({ servers: server.url });
  atEnd(() => witness.close());
  const config = { name: `KV_GROUP_${other}`, subjects: [`$KV.GROUP_${other}.>`], max_msgs_per_subject: 5 };
  await witness.request(`$JS.API.STREAM.CREATE.${config.name}`, JSON.stringify(config));
  const { code, report } = await doctor(["--group", other, "--group", "none"]);
  expect(code).toBe(6);
  const codes = report.findings.map(({ severity, code: one, where }) => `${severity} ${one} @ ${where}`);
  expect(codes).toContain(`critical bucket-incompatible @ bucket GROUP_${other}`);
  expect(codes).toContain(`warning no-republish @ bucket GROUP_${other}`);
  expect(codes).toContain("warning bucket-missing @ group none");
});
