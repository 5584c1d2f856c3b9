/** What to do about a denied subject: the permission to grant, or the command that needs it instead. */

/**
 * Completes "...; <hint>". Parts of subjects that clients draw at random stand as wildcards, as in the sets of "nats-leader permissions":
 * a rule with the drawn name would permit nothing after the next connection.
 */
export function grantHint(direction: "publish" | "subscribe", subject: string): string {
  if (direction === "publish") return createBucketHint(subject) ?? allow(direction, publishRule(subject));
  const rule = subscribeRule(subject);
  // The default inbox: every user that may subscribe to it can read the responses to all others.
  if (rule === "_INBOX.>") {
    return `set inboxPrefix (nats.inboxPrefix, NATS_LEADER_INBOX_PREFIX) to the one that "nats-leader permissions" prints for this user, or ${allow(direction, rule)}`;
  }
  return allow(direction, rule);
}

function allow(direction: string, rule: string): string {
  return `allow this user to ${direction} to "${rule}"`;
}

/** The permissions of a node or member do not include the right to create or change its streams. */
function createBucketHint(subject: string): string | null {
  const found =
    /^\$JS\.(?:([^.]+)\.)?API\.STREAM\.(?:CREATE|UPDATE)\.(KV_KV_CLUSTER_|LEADER_HISTORY_|KV_GROUP_)([A-Za-z0-9_-]+)$/.exec(
      subject,
    );
  if (found === null) return null;
  const [, domain, prefix, id] = found;
  const of = prefix === "KV_GROUP_" ? `--group ${id}` : `--cluster-id ${id}`;
  const where = domain === undefined ? "" : ` --domain ${domain}`;
  const prints = `"nats-leader permissions administrator ${of}"`;
  return `an administrator runs "nats-leader create-bucket ${of}${where}" (${prints} prints the permissions for it)`;
}

function publishRule(subject: string): string {
  return (
    subject
      .replace(/(\.API\.CONSUMER\.(?:CREATE|MSG\.NEXT)\.[^.]+)\.[^.]+/, "$1.*")
      .replace(/(\.presence)\.[^.]+$/, "$1.*")
      // One key of many, and one member of many.
      .replace(/(\$KV\.GROUP_[^.]+\.(?:session|owner))\.[^.]+$/, "$1.*")
      .replace(/^(group_[^.]+\.control)\.[^.]+\./, "$1.*.")
  );
}

function subscribeRule(subject: string): string {
  if (subject.startsWith("_INBOX.")) return "_INBOX.>";
  return (
    subject
      .replace(/^(group_[^.]+\.control)\.[^.]+\.\*$/, "$1.*.*")
      // Each request to a node has a reply subject of its own (`newReplySubject()`).
      .replace(/(\.reply\..+)\.[0-9a-f]{32}$/, "$1.>")
      // An inbox with another prefix: its random part is a nuid. Elsewhere a node or cluster id may look like one.
      .replace(/^(?!\$|cluster_|group_|nats_leader\.)(.+)\.[0-9A-Za-z]{22}(\.[^.]+)?$/, "$1.>")
      .replace(/^(\$JS\.EVENT\.ADVISORY\.CONSUMER\.DELETED\.[^.]+)\..+$/, "$1.*")
  );
}
