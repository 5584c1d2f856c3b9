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

test("another denied subject is named as it must be allowed", () => {
  expect(hintFor('Subscription to "_INBOX_node.x.*"')).toMatch(
    /allow this user to subscribe to "_INBOX_node\.x\.\*"$/,
  );
  expect(hintFor('Publish to "$JS.API.INFO"')).toMatch(/allow this user to publish to "\$JS\.API\.INFO"$/);
});
