/** Groups findings: the loss of a server is one finding, and what other servers report of it are its consequences. */
import type { Finding, Sign } from "./finding.ts";

/**
 * Keeps the order. The first sign of a loss becomes the finding: the server's own silence, the meta group, the bucket, or
 * another server's routes. Servers in `running` have answered, so signs of their loss stay findings of their own.
 */
export function gather(signs: readonly Sign[], running: ReadonlySet<string>): Finding[] {
  const heads = headsOf(signs, running);
  const consequencesOf = new Map<Sign, Finding[]>();
  const standing = signs.filter((sign) => {
    const head = headOf(sign, heads);
    if (head === undefined || head === sign) return true;
    consequencesOf.set(head, [...(consequencesOf.get(head) ?? []), plain(sign)]);
    return false;
  });
  return standing.map((sign) => {
    const consequences = consequencesOf.get(sign);
    return consequences === undefined ? plain(sign) : { ...plain(sign), consequences };
  });
}

/** The finding about the loss from which this sign follows. */
function headOf(
  { lost, concerns, follows, aftermath }: Sign,
  heads: ReadonlyMap<string, Sign>,
): Sign | undefined {
  const [only, another] = new Set(heads.values());
  if (aftermath === true) return another === undefined ? only : undefined;
  const name = lost ?? concerns;
  const names = name === undefined ? (follows ?? []) : [name];
  if (!names.every((one) => heads.has(one))) return undefined;
  return names.flatMap((one) => heads.get(one) ?? [])[0];
}

/** The finding for each lost server. */
function headsOf(signs: readonly Sign[], running: ReadonlySet<string>): Map<string, Sign> {
  const heads = new Map<string, Sign>();
  for (const sign of signs) {
    const { lost } = sign;
    if (lost !== undefined && !running.has(lost) && !heads.has(lost)) heads.set(lost, sign);
  }
  const [first, ...others] = signs.filter(({ follows }) => follows !== undefined);
  // No server has a route to these.
  const everywhere = (first?.follows ?? []).filter((name) =>
    others.every((one) => one.follows?.includes(name)),
  );
  if (first !== undefined && others.length > 0) {
    for (const name of everywhere) if (!heads.has(name) && !running.has(name)) heads.set(name, first);
  }
  return unite(heads);
}

/**
 * A monitoring port that has never answered is known only by its address, while other servers know its server by name. If
 * there is one of each, they are the same server.
 */
function unite(heads: Map<string, Sign>): Map<string, Sign> {
  const silent = [...heads].filter(([, { code }]) => code === "server-down");
  const named = [...heads].filter(([, { code }]) => code !== "server-down");
  const [port, server] = [silent[0], named[0]];
  if (silent.length === 1 && named.length === 1 && port !== undefined && server !== undefined)
    return new Map([...heads, [server[0], port[1]]]);
  return heads;
}

function plain({ lost: _, follows: __, concerns: ___, aftermath: ____, ...finding }: Sign): Finding {
  return finding;
}
