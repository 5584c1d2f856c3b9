/** Durations and times as text. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const PART = /^(\d+(?:\.\d+)?)(ms|s|m|h)/;

/** Parses `1m30s`, `500ms`, `2s` or a bare number of milliseconds to whole milliseconds; `null` for any other text. */
export function parseDuration(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  let rest = text;
  let total = 0;
  while (rest !== "") {
    const [part, amount, unit] = PART.exec(rest) ?? [];
    if (part === undefined) return null;
    total += Number(amount) * (UNITS[unit ?? ""] ?? 0);
    rest = rest.slice(part.length);
  }
  return text === "" ? null : Math.round(total);
}

/** Whole seconds as Go prints them: `1h2m3s`. */
export function showSeconds(ms: number): string {
  const total = Math.round(ms / 1_000);
  const hours = Math.floor(total / 3_600);
  const minutes = Math.floor((total % 3_600) / 60);
  const seconds = `${total % 60}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

/** The largest distance from 1970 that a `Date` can express, in milliseconds. */
const MAX_TIME_MS = 8.64e15;
const NO_TIME = "(invalid time)";

/** `2026-01-31 15:04:05`, local time, as go-cluster's `watch` prints it. */
export function showTime(at: number): string {
  if (!isTime(at)) return NO_TIME;
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `2026-01-31 15:04:05.678`, local time. */
export function showInstant(at: number): string {
  return isTime(at) ? `${showTime(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}` : NO_TIME;
}

function isTime(at: number): boolean {
  return Math.abs(at) <= MAX_TIME_MS;
}
