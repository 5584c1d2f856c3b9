/** The operator, the accounts and the users of a deployment without passwords, in a folder that its owner alone can read. */
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeyPair } from "@nats-io/nkeys";
import { type PermissionRole, permissionsFor } from "../../../src/nats/permissions.ts";
import { credsOf, issueAccount, issueOperator, issueUser, newAccountKey } from "./claims.ts";

/** The users of `accounts.conf` with a role; `admin` may do everything in the account, `system` is in the system account. */
const ROLES: Readonly<Record<string, { readonly role: PermissionRole; readonly nodeId?: string }>> = {
  node: { role: "node" },
  node_a: { role: "node", nodeId: "a" },
  observer: { role: "observer" },
  operator: { role: "operator" },
};
const CLUSTER_ID = "billing";

/** The files of a folder of credentials. */
export class Credentials {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The operator's token, which every server has. */
  get operatorFile(): string {
    return join(this.path, "operator.jwt");
  }

  /** For `credentials` of a client. */
  credsFile(user: string): string {
    return join(this.path, "users", `${user}.creds`);
  }

  /** Public key of the system account. */
  async systemAccount(): Promise<string> {
    return (await readFile(join(this.path, "system-account"), "utf8")).trim();
  }

  /** Gives a server its own copy of the tokens of accounts: it writes to the folder when one is updated. */
  async copyAccounts(to: string): Promise<void> {
    await cp(join(this.path, "accounts"), to, { recursive: true, force: false });
  }

  /** Creates all of it, unless it exists. Resolves with whether it was created. */
  async ensure(now: number = Date.now()): Promise<boolean> {
    if (existsSync(this.path)) return false;
    const draft = `${this.path}.${process.pid}`;
    await rm(draft, { recursive: true, force: true });
    for (const folder of ["accounts", "users", "keys"])
      await mkdir(join(draft, folder), { recursive: true, mode: 0o700 });
    const write = (file: string, text: string): Promise<void> =>
      writeFile(join(draft, file), text, { mode: 0o600 });
    const keep = (name: string, key: KeyPair): Promise<void> =>
      write(`keys/${name}.nk`, `${new TextDecoder().decode(key.getSeed())}\n`);
    const [system, billing] = [newAccountKey(), newAccountKey()];
    const operator = issueOperator("nats-leader", system.getPublicKey(), now);
    await keep("operator", operator.key);
    await write("operator.jwt", `${operator.jwt}\n`);
    await write("system-account", `${system.getPublicKey()}\n`);
    for (const [name, key, jetstream] of [
      ["SYS", system, false],
      ["BILLING", billing, true],
    ] as const) {
      await keep(name, key);
      const { jwt } = issueAccount(operator.key, key, name, { jetstream }, now);
      await write(`accounts/${key.getPublicKey()}.jwt`, jwt);
    }
    for (const [user, role] of Object.entries(ROLES)) {
      // The inbox is that of the user's name, as with passwords.
      const set = permissionsFor({ clusterId: CLUSTER_ID, ...role, inboxPrefix: `_INBOX_${user}` });
      await write(`users/${user}.creds`, credsOf(issueUser(billing, user, set, now)));
    }
    await write("users/admin.creds", credsOf(issueUser(billing, "admin", null, now)));
    await write("users/system.creds", credsOf(issueUser(system, "system", null, now)));
    await rename(draft, this.path);
    return true;
  }
}
