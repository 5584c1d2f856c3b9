/** Times and counts as text. Pure. */

/** `850 ms`, `3.2 s`, `45 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 1_000) return `${Math.round(value)} ms`;
  if (value < 10_000) return `${(value / 1_000).toFixed(1).replace(".0", "")} s`;
  return coarse(value);
}

/** As `duration`, in whole seconds: for what counts up. */
export function coarse(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return pair(hours, "h", minutes % 60, "min");
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;
}

/** `14:03:07`, with the date unless it is today's. */
export function clock(at: number, now: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** `1 node`, `3 nodes`, `10 000 resources`. */
export function count(value: number, noun: string): string {
  return `${grouped(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Digits in groups of three, with narrow spaces that do not break. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

const REASONS: Readonly<Record<string, string>> = {
  released: "stepped down",
  expired: "lease expired",
  superseded: "another record replaced it",
  replaced: "replaced by another leader",
  deleted: "lease deleted",
  "hook-failed": "a hook or its work failed",
  stopped: "stopped",
  silent: "no end recorded: crashed or cut off",
  garbage: "overwritten by another program",
};

/** Why a term has ended. */
export function reasonText(why: string): string {
  return REASONS[why] ?? why;
}

const WHY_NOT: Readonly<Record<string, string>> = {
  observer: "observer",
  withdrawn: "withdrawn",
  cooldown: "cooldown",
  failed: "pause after a failure",
  suspended: "suspended",
  draining: "draining",
  silent: "does not answer",
  absent: "no process",
};

export function whyNotText(why: string): string {
  return WHY_NOT[why] ?? why;
}

const OUTCOMES: Readonly<Record<string, string>> = {
  closed: "confirmed: connection closed",
  silent: "confirmed: silent",
  alive: "the leader was there",
  unanswered: "no server answered",
  overtaken: "another node was quicker",
};

/** What became of a suspicion. */
export function outcomeText(outcome: string): string {
  return OUTCOMES[outcome] ?? outcome;
}
