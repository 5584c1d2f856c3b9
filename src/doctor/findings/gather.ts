/** One lost server is one finding: what others notice of it stands beneath. */
import type { Finding, Sign } from "./finding.ts";

/**
 * In the order given. Who tells it first is the finding: its monitoring port, the meta group, the bucket, another's routes.
 * Servers of `running` have answered: what is said of their loss is a finding of its own.
 */
export function gather(signs: readonly Sign[], running: ReadonlySet<string>): Finding[] {
  const heads = headsOf(signs, running);
  const beneath = new Map<Sign, Finding[]>();
  const standing = signs.filter((sign) => {
    const names = sign.lost === undefined ? (sign.follows ?? []) : [sign.lost];
    const [head] = names.flatMap((name) => heads.get(name) ?? []);
    if (head === undefined || head === sign || !names.every((name) => heads.has(name))) return true;
    beneath.set(head, [...(beneath.get(head) ?? []), plain(sign)]);
    return false;
  });
  return standing.map((sign) => {
    const consequences = beneath.get(sign);
    return consequences === undefined ? plain(sign) : { ...plain(sign), consequences };
  });
}

/** The finding of each server that is gone. */
function headsOf(signs: readonly Sign[], running: ReadonlySet<string>): Map<string, Sign> {
  const heads = new Map<string, Sign>();
  for (const sign of signs) {
    const { lost } = sign;
    if (lost !== undefined && !running.has(lost) && !heads.has(lost)) heads.set(lost, sign);
  }
  const [first, ...others] = signs.filter(({ follows }) => follows !== undefined);
  // Nobody has a route to it.
  const everywhere = (first?.follows ?? []).filter((name) =>
    others.every((one) => one.follows?.includes(name)),
  );
  if (first !== undefined && others.length > 0) {
    for (const name of everywhere) if (!heads.has(name) && !running.has(name)) heads.set(name, first);
  }
  return unite(heads);
}

/** A monitoring port that never answered is known by its address, and its server to others by name: of one each, one. */
function unite(heads: Map<string, Sign>): Map<string, Sign> {
  const silent = [...heads].filter(([, { code }]) => code === "server-down");
  const named = [...heads].filter(([, { code }]) => code !== "server-down");
  const [port, server] = [silent[0], named[0]];
  if (silent.length === 1 && named.length === 1 && port !== undefined && server !== undefined)
    return new Map([...heads, [server[0], port[1]]]);
  return heads;
}

function plain({ lost: _, follows: __, ...finding }: Sign): Finding {
  return finding;
}
