/** Reads groups: the bucket of each, its members, and what this user may do there. */
import { ClusterError } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { readGroup } from "../../manager/group-client.ts";
import { type GroupView, groupViewSteps } from "../../manager/group-view.ts";
import { runSliced } from "../../manager/sliced-work.ts";
import { callApi, isJsError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import { groupStreamName, inDomain } from "../../nats/names.ts";
import type { GroupPermissionRole } from "../../nats/permissions.ts";
import type { BucketFacts, ExaminedGroup, GroupCondition, PermissionFacts, Unseen } from "../facts.ts";
import { UNOWNED_MS } from "../findings/thresholds.ts";
import { missingGroupBucket, readGroupBucket } from "./read-bucket.ts";
import { tryGroupPermissions } from "./try-permissions.ts";

const PERMISSIONS_CACHED_MS = 60_000;

export class GroupReader {
  readonly #client: ClusterClient;
  readonly #role: GroupPermissionRole | null;
  readonly #tries: boolean;
  readonly #tried = new Map<string, { readonly facts: PermissionFacts; readonly at: number }>();

  /**
   * @param role - `null`: the role with the fewest missing permissions.
   * @param tries - Whether permissions are tried.
   */
  constructor(client: ClusterClient, role: GroupPermissionRole | null, tries: boolean) {
    this.#client = client;
    this.#role = role;
    this.#tries = tries;
  }

  async read(groupId: string, unseen: Unseen[]): Promise<ExaminedGroup> {
    const { bucket, problem } = await this.#bucket(groupId, unseen);
    const view = bucket?.exists === true ? await this.#view(groupId, unseen) : null;
    const permissions = this.#tries ? await this.#permissions(groupId) : null;
    return { groupId, bucket, problem, view, permissions };
  }

  async #bucket(
    groupId: string,
    unseen: Unseen[],
  ): Promise<{ readonly bucket: BucketFacts | null; readonly problem: string | null }> {
    const { monitor, timeoutMs } = this.#client;
    const stream = groupStreamName(groupId);
    try {
      const answer = await callApi(monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs });
      return { bucket: readGroupBucket(answer, groupId), problem: null };
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNotFound))
        return { bucket: missingGroupBucket(groupId), problem: null };
      if (thrown instanceof RequestFailure && thrown.kind === "denied") {
        const subject = inDomain(`$JS.API.STREAM.INFO.${stream}`, monitor.domain);
        unseen.push({ what: `group ${groupId}`, how: `allow this user to publish to ${subject}` });
        return { bucket: null, problem: null };
      }
      return { bucket: null, problem: jsToClusterError(thrown, `read stream ${stream}`).message };
    }
  }

  async #view(groupId: string, unseen: Unseen[]): Promise<GroupCondition | null> {
    try {
      const content = await readGroup(this.#client, groupId);
      if (content === null) return null;
      // The page of a process that leads a cluster examines, too.
      const { value } = await runSliced(groupViewSteps(groupId, content));
      return value === null ? null : conditionOf(value);
    } catch (thrown) {
      if (!(thrown instanceof ClusterError)) throw thrown;
      unseen.push({ what: `the members and resources of group ${groupId}`, how: thrown.message });
      return null;
    }
  }

  /** Cached, since each denied attempt adds a line to the server's log. */
  async #permissions(groupId: string): Promise<PermissionFacts> {
    const tried = this.#tried.get(groupId);
    if (tried !== undefined && performance.now() - tried.at < PERMISSIONS_CACHED_MS) return tried.facts;
    const facts = await tryGroupPermissions(this.#client.monitor, groupId, this.#role);
    this.#tried.set(groupId, { facts, at: performance.now() });
    return facts;
  }
}

/** Without the list of all resources, of which there may be thousands. */
export function conditionOf({ resources, ...view }: GroupView): GroupCondition {
  const { plan } = view;
  const overdue = resources.flatMap(({ resource, state, forMs, why, epoch }) => {
    if (state !== "unowned") return [];
    // One that never had an owner is on the list for as long as the plan has it.
    const sinceMs = forMs ?? (epoch === 0 && plan !== null ? plan.ageMs : 0);
    return sinceMs > UNOWNED_MS ? [{ resource, why }] : [];
  });
  return { ...view, resources: resources.length, overdue };
}
