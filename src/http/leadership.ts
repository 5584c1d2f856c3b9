/** The answer of /leader: who holds the leadership of a cluster, or a resource of a group, at this moment. */
import { printable } from "../log/printable.ts";
import { type Answer, jsonAnswer } from "./answer.ts";
import { membersOf, nodesOf, type ServedMember, type ServedNode, type Sources } from "./views.ts";

/** Which leadership is asked about: the parameters of the request. `null`: not given. */
interface LeadershipQuery {
  readonly cluster: string | null;
  readonly node: string | null;
  readonly group: string | null;
  readonly member: string | null;
  readonly resource: string | null;
}

const NOT_GIVEN: LeadershipQuery = { cluster: null, node: null, group: null, member: null, resource: null };
const PARAMETERS: readonly string[] = Object.keys(NOT_GIVEN);
const MAX_SHOWN = 40;

/** @param search - As in a URL: empty, or from the question mark on. */
export function leadershipAnswer(sources: Sources, search: string): Answer {
  if (search === "") return answerTo(sources, NOT_GIVEN);
  const parameters = new URLSearchParams(search);
  // Ignored, a misspelt ?cluster= would be answered for another cluster.
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    const error = `there is no parameter "${printable(unknown, MAX_SHOWN)}": there are ${PARAMETERS.join(", ")}`;
    return jsonAnswer(400, { error, parameters: PARAMETERS });
  }
  return answerTo(sources, {
    cluster: parameters.get("cluster"),
    node: parameters.get("node"),
    group: parameters.get("group"),
    member: parameters.get("member"),
    resource: parameters.get("resource"),
  });
}

function answerTo(sources: Sources, query: LeadershipQuery): Answer {
  const { group, member, resource } = query;
  if (group !== null || member !== null || resource !== null)
    return resourceAnswer(membersOf(sources), query);
  return clusterAnswer(nodesOf(sources), query);
}

function clusterAnswer(all: readonly ServedNode[], { cluster, node }: LeadershipQuery): Answer {
  const nodes = all.filter(
    ({ clusterId, nodeId }) => (cluster ?? clusterId) === clusterId && (node ?? nodeId) === nodeId,
  );
  const clusters = new Set(nodes.map(({ clusterId }) => clusterId));
  if (clusters.size > 1) return ambiguous("clusters", "?cluster=ID", clusters);
  const [first] = nodes;
  if (first === undefined)
    return notHeld({
      ...asked({ cluster, node }),
      leader: null,
      reason: "no such node runs in this process",
    });
  // One of several nodes of this cluster may lead, and no two of them can.
  const reports = nodes.flatMap((one) => one.status() ?? []);
  const leading = reports.find(({ held }) => held);
  if (leading !== undefined) {
    const { clusterId, nodeId, epoch, leaderSince, remainingMs } = leading;
    return jsonAnswer(200, {
      clusterId,
      nodeId,
      epoch,
      held: true,
      since: leaderSince,
      remainingMs: Math.floor(remainingMs),
    });
  }
  const { clusterId, nodeId } = first;
  const [report] = reports;
  if (report === undefined)
    return notHeld({ clusterId, nodeId, leader: null, reason: "the node is not running" });
  const { leader: known, epoch, leaderSince, state } = report;
  const leader = known === "" ? null : { nodeId: known, epoch, since: leaderSince };
  return notHeld({ clusterId, nodeId, leader, reason: `the node is ${state}` });
}

function resourceAnswer(all: readonly ServedMember[], { group, member, resource }: LeadershipQuery): Answer {
  if (resource === null)
    return jsonAnswer(400, { error: "a group has no leader: name a resource with ?resource=NAME" });
  const members = all.filter(
    ({ groupId, memberId }) => (group ?? groupId) === groupId && (member ?? memberId) === memberId,
  );
  const ids = new Set(members.map(({ groupId }) => groupId));
  if (ids.size > 1) return ambiguous("groups", "?group=ID", ids);
  const [first] = members;
  if (first === undefined)
    return notHeld({
      ...asked({ group, member }),
      resource,
      owner: null,
      reason: "no such member runs in this process",
    });
  for (const one of members) {
    const term = resource === "" ? null : one.term(resource);
    if (term === null || !term.held) continue;
    const { groupId, memberId } = one;
    const { epoch } = term;
    const remainingMs = Math.floor(term.provenRemainingMs);
    return jsonAnswer(200, { groupId, memberId, resource, epoch, held: true, remainingMs });
  }
  const { groupId, memberId } = first;
  const owner = resource === "" ? null : first.owner(resource);
  return notHeld({ groupId, memberId, resource, owner, reason: "the member does not hold the resource" });
}

/** The ids of the request under the names that answers have. What was not given is absent. */
function asked({
  cluster = null,
  node = null,
  group = null,
  member = null,
}: Partial<LeadershipQuery>): Record<string, string> {
  const ids = { clusterId: cluster, nodeId: node, groupId: group, memberId: member };
  return Object.fromEntries(
    Object.entries(ids).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

function notHeld(facts: object): Answer {
  return jsonAnswer(503, { held: false, ...facts });
}

function ambiguous(what: string, parameter: string, ids: ReadonlySet<string>): Answer {
  return jsonAnswer(400, {
    error: `this process takes part in ${ids.size} ${what}: name one with ${parameter}`,
    [what]: [...ids].sort(),
  });
}
