/** What an error about a denied subject says to do. */
import { expect, test } from "vitest";
import { failureToClusterError, RequestFailure } from "../../src/nats/api/request.ts";

function hintFor(violation: string): string {
  const failure = new RequestFailure("denied", "$JS.API.INFO", `Permissions Violation for ${violation}`);
  return failureToClusterError(failure, "read").message;
}

test("a denied default inbox is answered with the option, not with its random name", () => {
  const hint = hintFor('Subscription to "_INBOX.RozjqFabc.*"').split("; ").at(-1);
  expect(hint).toMatch(/^set inboxPrefix .*"nats-leader permissions".*subscribe to "_INBOX\.>"$/);
});

test("a missing bucket that this user may not create is answered with the command of the administrator", () => {
  const denied = (subject: string): string =>
    failureToClusterError(new RequestFailure("denied", subject, "x"), "y").message;
  const command = (more = ""): string =>
    `; an administrator runs "nats-leader create-bucket --cluster-id billing${more}" (`;
  expect(denied("$JS.API.STREAM.CREATE.KV_KV_CLUSTER_billing")).toContain(command());
  expect(denied("$JS.API.STREAM.UPDATE.KV_KV_CLUSTER_billing")).toContain(command());
  expect(denied("$JS.API.STREAM.CREATE.LEADER_HISTORY_billing")).toContain(command());
  expect(denied("$JS.hub.API.STREAM.CREATE.KV_KV_CLUSTER_billing")).toContain(command(" --domain hub"));
  expect(denied("$JS.hub.API.STREAM.CREATE.KV_GROUP_orders")).toContain(
    `; an administrator runs "nats-leader create-bucket --group orders --domain hub" (`,
  );
  expect(denied("$JS.API.STREAM.CREATE.ORDERS")).toMatch(
    /allow this user to publish to "\$JS\.API\.STREAM\.CREATE\.ORDERS"$/,
  );
});

const NUID = "RozjqFabc0123456789012";

test.each([
  ["publish", "$JS.API.INFO", "$JS.API.INFO"],
  [
    "publish",
    "$JS.API.CONSUMER.CREATE.KV_KV_CLUSTER_x.presence_0123456789ab_q_1.$KV.KV_CLUSTER_x.presence.q",
    "$JS.API.CONSUMER.CREATE.KV_KV_CLUSTER_x.*.$KV.KV_CLUSTER_x.presence.*",
  ],
  ["publish", "$KV.KV_CLUSTER_x.leader", "$KV.KV_CLUSTER_x.leader"],
  ["publish", "$KV.GROUP_x.owner.7", "$KV.GROUP_x.owner.*"],
  ["publish", "$KV.GROUP_x.plan", "$KV.GROUP_x.plan"],
  ["publish", "$JS.API.CONSUMER.MSG.NEXT.KV_GROUP_x.catch_up_0", "$JS.API.CONSUMER.MSG.NEXT.KV_GROUP_x.*"],
  ["publish", "group_x.control.a.drain", "group_x.control.*.drain"],
  ["subscribe", "group_x.control.a.*", "group_x.control.*.*"],
  ["subscribe", `group_x.reply.client.${"0".repeat(32)}`, "group_x.reply.client.>"],
  ["subscribe", `_INBOX_node.${NUID}.*`, "_INBOX_node.>"],
  ["subscribe", `_INBOX_node.x.${NUID}`, "_INBOX_node.x.>"],
  ["subscribe", `cluster_x.reply.client.${"0".repeat(32)}`, "cluster_x.reply.client.>"],
  ["subscribe", `cluster_x.status.${NUID}`, `cluster_x.status.${NUID}`],
  [
    "subscribe",
    "$JS.EVENT.ADVISORY.CONSUMER.DELETED.KV_KV_CLUSTER_x.presence_0123456789ab_q_1",
    "$JS.EVENT.ADVISORY.CONSUMER.DELETED.KV_KV_CLUSTER_x.*",
  ],
] as const)("a denied %s of %s is answered with the rule to allow", (direction, subject, rule) => {
  const what = direction === "publish" ? "Publish" : "Subscription";
  const failure = new RequestFailure("denied", subject, `Permissions Violation for ${what} to "${subject}"`);
  const { message } = failureToClusterError(failure, "read");
  expect(message.split("; ").at(-1)).toBe(`allow this user to ${direction} to "${rule}"`);
});
