import { expect, test } from "vitest";
import { withoutCredentials } from "../../src/cli/supervise/environment.ts";
import { SETTINGS } from "../../src/config/file/settings.ts";

test("every variable that configures a login is withheld, ours and shared ones", () => {
  const login = SETTINGS.filter(({ path }) =>
    /^nats\.(?!servers|monitors|inboxPrefix|domain$|.*Ms$|tls\.ca$)/.test(path),
  );
  const names = login.flatMap(({ variable, shared }) => [variable, ...(shared ?? [])]);
  expect(names).toContain("NATS_LEADER_PASSWORD");
  expect(names).toContain("NATS_TOKEN");
  const { env, withheld } = withoutCredentials(Object.fromEntries(names.map((name) => [name, "secret"])));
  expect(env).toEqual({});
  expect(new Set(withheld)).toEqual(new Set(names));
});

test("a login in the URL of a server is withheld with its variable; other variables are passed on", () => {
  const passed = {
    PATH: "/bin",
    NATS_URL: "nats://n1:4222,nats://n2:4222",
    NATS_LEADER_CLUSTER_ID: "billing",
    NATS_LEADER_DOMAIN: "hub",
  };
  const withLogin = {
    NATS_LEADER_SERVERS: "nats://n1:4222,nats://user:p,w@n2:4222",
    NATS_LEADER_MONITOR: "https://user:p@n1:8222",
  };
  expect(withoutCredentials({ ...passed, ...withLogin })).toEqual({
    env: passed,
    withheld: Object.keys(withLogin),
  });
});
