/** Subjects with wildcards, and names of streams. */
import { ClusterError } from "../errors.ts";

/** Servers refuse longer names of streams. */
export const MAX_STREAM_NAME = 255;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the server accepts none of them in a subject
const FILTER = /^(?:(?:[^\x00-\x20.*>]+|\*)\.)*(?:[^\x00-\x20.*>]+|\*|>)$/;

export function checkStreamName(stream: string): void {
  if (typeof stream === "string" && stream.length <= MAX_STREAM_NAME && /^[^\s.*>/\\]+$/.test(stream)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `${shown(stream)} is not a valid stream name: it must have 1 to ${MAX_STREAM_NAME} characters, no blanks and none of . * > / \\`,
  );
}

/** In quotes, shortened. The value may be of any type. */
export function shown(value: unknown): string {
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);
}

/** Whether some subject matches both filters. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [one.split("."), other.split(".")];
  for (let i = 0; ; i++) {
    const [left, right] = [a[i], b[i]];
    if (left === undefined || right === undefined) return left === right;
    if (left === ">" || right === ">") return true;
    if (left !== "*" && right !== "*" && left !== right) return false;
  }
}

/** Whether the filter matches everything that the subject, which may have wildcards itself, matches. */
export function covers(filter: string, subject: string): boolean {
  const want = filter.split(".");
  const have = subject.split(".");
  for (const [i, token] of want.entries()) {
    if (token === ">") return have.length > i;
    const other = have[i];
    if (other === undefined || other === ">") return false;
    if (token !== "*" && token !== other) return false;
  }
  return want.length === have.length;
}

/** Longest filter of a consumer: the request that creates it has a subject with the filter, and with the names of stream and consumer. */
export const MAX_FILTER_BYTES = 3000;

/** @throws ClusterError `INVALID_CONFIG` */
export function checkFilter(subject: unknown): void {
  const rule = "it must be a subject, in which * stands for one token and a last > for the rest";
  if (typeof subject !== "string" || !FILTER.test(subject)) {
    throw new ClusterError("INVALID_CONFIG", `subject is ${shown(subject)}: ${rule}`);
  }
  const bytes = Buffer.byteLength(subject);
  if (bytes <= MAX_FILTER_BYTES) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `subject has ${bytes} bytes: it must have at most ${MAX_FILTER_BYTES}, since it is part of a protocol line`,
  );
}
