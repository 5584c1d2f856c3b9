/** Reads through a normal account: names, versions and clocks of the servers; the account's limits; the bucket; the nodes. */

import type { NodeOptions } from "../../config/resolve.ts";
import { asError } from "../../errors.ts";
import { ClusterClient } from "../../manager/cluster-client.ts";
import { knownClusters } from "../../manager/known-clusters.ts";
import { callApi, isJsError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import { CONNECTIONS_PING, inDomain, streamName } from "../../nats/names.ts";
import type { GroupPermissionRole, PermissionRole } from "../../nats/permissions.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import {
  type BucketFacts,
  type ConnectionFacts,
  type ExaminedGroup,
  type Facts,
  NO_FACTS,
  type PermissionFacts,
  type ServerFacts,
  type Unseen,
} from "../facts.ts";
import { accountUsage } from "./account-usage.ts";
import { AdvertisedServers } from "./advertised-servers.ts";
import { type ApplicationQuery, ApplicationReader } from "./application-reader.ts";
import { askServers, type ServerAnswer } from "./ask-servers.ts";
import { GroupReader } from "./group-reader.ts";
import { textIn } from "./json.ts";
import { NodeReader } from "./node-reader.ts";
import { missingBucket, readBucket } from "./read-bucket.ts";
import { unknownServer } from "./read-server.ts";
import { isInboxRefused, type PermissionQuery, tryPermissions } from "./try-permissions.ts";

export interface AccountSourceFacts
  extends Pick<
    Facts,
    | "account"
    | "bucket"
    | "bucketProblem"
    | "otherClusters"
    | "lease"
    | "nodes"
    | "permissions"
    | "groups"
    | "applications"
  > {
  readonly connection: ConnectionFacts;
  readonly servers: readonly ServerFacts[];
  readonly unseen: readonly Unseen[];
}

export interface AccountOptions {
  readonly nodeOptions: NodeOptions;
  /** False: no cluster id was given, and the one in `nodeOptions` is a placeholder. */
  readonly hasCluster: boolean;
  readonly nodeId: string | null;
  /** `null`: the role with the fewest missing permissions. */
  readonly role: PermissionRole | null;
  /** Groups to examine. */
  readonly groupIds: readonly string[];
  /** As `role`, in groups. */
  readonly groupRole: GroupPermissionRole | null;
  /** Buckets of applications to examine. @default none */
  readonly application?: ApplicationQuery;
  readonly timeoutMs: number;
  /**
   * Whether the permissions of this user are tried, which adds lines to the log of a server older than 2.10.
   * @default true
   */
  readonly tryPermissions?: boolean;
}

const PERMISSIONS_CACHED_MS = 60_000;

export class AccountSource {
  readonly #options: AccountOptions;
  readonly #book: ClockBook;
  readonly #expectedNodes: number;
  #client: ClusterClient | null = null;
  #nodes: NodeReader | null = null;
  #groups: GroupReader | null = null;
  #applications: ApplicationReader | null = null;
  readonly #advertised = new AdvertisedServers();
  #serverCount = 0;
  #tried: { readonly facts: PermissionFacts; readonly at: number } | null = null;

  constructor(options: AccountOptions, book: ClockBook, expectedNodes: number) {
    this.#options = options;
    this.#book = book;
    this.#expectedNodes = expectedNodes;
  }

  async read(): Promise<AccountSourceFacts> {
    const unseen: Unseen[] = [];
    try {
      const client = await this.#connect();
      const server = client.monitor.connection.info?.server_name ?? null;
      const account = await this.#account(client, unseen);
      const servers = await this.#servers(client, unseen);
      const cluster = await this.#cluster(client, unseen);
      const groups = await this.#readGroups(unseen);
      const applications = (await this.#applications?.read(unseen)) ?? [];
      return {
        ...cluster,
        groups,
        applications,
        servers,
        account,
        connection: { server, problem: null },
        unseen,
      };
    } catch (thrown) {
      return { ...NO_FACTS, connection: { server: null, problem: problemOf(thrown) }, unseen };
    }
  }

  async clocks(): Promise<void> {
    const monitor = this.#client?.monitor;
    if (monitor?.connected !== true) return;
    const servers =
      this.#serverCount === 0
        ? Promise.resolve()
        : askServers(monitor, this.#book, {
            subject: CONNECTIONS_PING,
            body: { limit: 1 },
            timeoutMs: this.#options.timeoutMs,
            expected: this.#serverCount,
          }).catch(() => {});
    await Promise.all([servers, this.#nodes?.clocks()]);
  }

  /** Adds the clock samples that arrived after `read`. */
  clocked(nodes: Facts["nodes"]): Facts["nodes"] {
    return nodes === null ? null : (this.#nodes?.clocked(nodes) ?? nodes);
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  async #connect(): Promise<ClusterClient> {
    const { nodeOptions, timeoutMs } = this.#options;
    this.#client ??= await ClusterClient.connect(nodeOptions, { timeoutMs });
    this.#nodes ??= new NodeReader(this.#client, this.#book, this.#expectedNodes);
    const { groupRole, tryPermissions = true, application } = this.#options;
    this.#groups ??= new GroupReader(this.#client, groupRole, tryPermissions);
    if (application !== undefined) this.#applications ??= new ApplicationReader(this.#client, application);
    return this.#client;
  }

  /** One after the other: each may have thousands of resources. */
  async #readGroups(unseen: Unseen[]): Promise<ExaminedGroup[]> {
    const found: ExaminedGroup[] = [];
    for (const groupId of this.#options.groupIds) {
      const facts = await this.#groups?.read(groupId, unseen);
      if (facts === undefined) continue;
      found.push(facts);
      if (facts.permissions !== null) unseen.push(...untried(facts.permissions));
    }
    return found;
  }

  async #servers(client: ClusterClient, unseen: Unseen[]): Promise<ServerFacts[]> {
    const { timeoutMs } = this.#options;
    const { info } = client.monitor.connection;
    const question = {
      subject: CONNECTIONS_PING,
      body: { limit: 1 },
      timeoutMs,
      patient: (found: readonly ServerAnswer[]) => this.#advertised.areMissing(info, found),
    };
    const answers = await askServers(client.monitor, this.#book, question).catch((thrown: unknown) => {
      const denied = thrown instanceof RequestFailure && thrown.kind === "denied";
      unseen.push({
        what: "servers other than the connected one, and the clocks of all servers",
        how: denied
          ? `allow this user to publish to ${CONNECTIONS_PING}`
          : `the servers do not answer on ${CONNECTIONS_PING}: ${asError(thrown).message}`,
      });
      return [];
    });
    this.#serverCount = answers.length;
    if (answers.length > 0) this.#advertised.learn(info, answers);
    const found = answers.map(
      ({ name, server }): ServerFacts => ({
        ...unknownServer(name, "account"),
        version: textIn(server, "ver"),
        cluster: textIn(server, "cluster"),
        jetstream: server["jetstream"] === true,
      }),
    );
    if (info !== undefined && !found.some(({ name }) => name === info.server_name)) {
      const own = unknownServer(info.server_name, "account");
      found.push({
        ...own,
        version: info.version,
        cluster: info.cluster ?? null,
        jetstream: info.jetstream ?? null,
      });
    }
    return found;
  }

  async #account(client: ClusterClient, unseen: Unseen[]): Promise<Facts["account"]> {
    try {
      const info = await callApi(client.monitor, "INFO", "", { timeoutMs: this.#options.timeoutMs });
      return accountUsage(info);
    } catch (thrown) {
      if (isInboxRefused(thrown)) throw thrown;
      const denied = thrown instanceof RequestFailure && thrown.kind === "denied";
      if (denied)
        unseen.push({
          what: "the account's JetStream limits",
          how: `allow this user to publish to ${inDomain("$JS.API.INFO", client.monitor.domain)}`,
        });
      return null;
    }
  }

  async #cluster(
    client: ClusterClient,
    unseen: Unseen[],
  ): Promise<
    Omit<AccountSourceFacts, "connection" | "servers" | "account" | "groups" | "applications" | "unseen">
  > {
    const { hasCluster, nodeId, role } = this.#options;
    if (!hasCluster) {
      if (this.#options.groupIds.length === 0 && this.#options.application === undefined)
        unseen.push({ what: "the bucket and the nodes", how: "pass --cluster-id ID, or --group ID" });
      return NO_FACTS;
    }
    const { clusterId } = client;
    const { bucket, problem } = await this.#bucket(client, unseen);
    const found = (await this.#nodes?.read()) ?? { lease: null, nodes: null, unseen: [] };
    unseen.push(...found.unseen);
    const withoutService = this.#options.nodeOptions.service === false;
    const who = { clusterId, nodeId, bucket, role, withoutService };
    const permissions = this.#options.tryPermissions === false ? null : await this.#permissions(client, who);
    if (permissions !== null) unseen.push(...untried(permissions));
    const otherClusters = bucket?.exists === false ? await knownClusters(client) : [];
    return {
      bucket,
      bucketProblem: problem,
      otherClusters,
      lease: found.lease,
      nodes: found.nodes,
      permissions,
    };
  }

  /** Cached, since each denied attempt adds a line to the server's log. */
  async #permissions(client: ClusterClient, who: PermissionQuery): Promise<PermissionFacts> {
    const tried = this.#tried;
    if (tried !== null && performance.now() - tried.at < PERMISSIONS_CACHED_MS) return tried.facts;
    const facts = await tryPermissions(client.monitor, who);
    this.#tried = { facts, at: performance.now() };
    return facts;
  }

  async #bucket(
    client: ClusterClient,
    unseen: Unseen[],
  ): Promise<{ readonly bucket: BucketFacts | null; readonly problem: string | null }> {
    const { clusterId, monitor } = client;
    const stream = streamName(clusterId);
    try {
      const answer = await callApi(
        monitor,
        `STREAM.INFO.${stream}`,
        {},
        { timeoutMs: this.#options.timeoutMs },
      );
      return { bucket: readBucket(answer, clusterId), problem: null };
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNotFound))
        return { bucket: missingBucket(clusterId), problem: null };
      if (thrown instanceof RequestFailure && thrown.kind === "denied") {
        unseen.push({
          what: "the bucket",
          how: `allow this user to publish to ${inDomain(`$JS.API.STREAM.INFO.${stream}`, monitor.domain)}`,
        });
        return { bucket: null, problem: null };
      }
      return { bucket: null, problem: jsToClusterError(thrown, `read stream ${stream}`).message };
    }
  }
}

/** Without an inbox no request can be answered. */
function problemOf(thrown: unknown): string {
  const { message } = asError(thrown);
  if (!isInboxRefused(thrown)) return message;
  return `${message}: answers cannot be received; set nats.inboxPrefix (NATS_LEADER_INBOX_PREFIX) to a prefix that this user may subscribe to`;
}

function untried({ role, tried }: PermissionFacts): Unseen[] {
  const open = tried.filter(({ allowed }) => allowed === null);
  if (open.length === 0) return [];
  return [
    {
      what: `whether a user with role "${role}" may ${open.map(({ direction, subject }) => `${direction} ${subject}`).join(", ")}`,
      how: "allow this user to publish to $SYS.REQ.USER.INFO: the server (2.10 and later) then reports it; a trial would have an effect",
    },
  ];
}
