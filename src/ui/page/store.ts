/**
 * What the server has sent, by key, and when. Each key has a signal of its own, so that a change draws only what shows it. While the page is
 * paused, changes are kept and drawn later.
 */
import { type Signal, signal } from "@preact/signals";
import type { AccountView, ControlAnswer, ControlRequest, DoctorView, Update } from "../model/types.ts";

/** `lost`: the server does not answer; the browser tries again. */
export type Link = "connecting" | "live" | "lost";

export const link: Signal<Link> = signal("connecting");
export const paused: Signal<boolean> = signal(false);
/** The server's time, once a second. */
export const now: Signal<number> = signal(Date.now());
export const clusterIds: Signal<readonly string[]> = signal([]);
export const groupIds: Signal<readonly string[]> = signal([]);
/** For screen readers. */
export const announcement: Signal<string> = signal("");
export const filter: Signal<string> = signal("");

const latest = new Map<string, unknown>();
const shown = new Map<string, Signal<unknown>>();
const waiting = new Set<string>();
let offsetMs = 0;
let frozenAt: number | null = null;
let source: EventSource | null = null;
let heardAt = performance.now();
let retry: ReturnType<typeof setTimeout> | null = null;

/** Without an event for this long, the connection is taken for lost: the server sends one every 5 s. */
const SILENT_MS = 13_000;
const RETRY_MS = 2_000;

/** The value of a key, or `undefined`. */
export function entity<T>(key: string): Signal<T | undefined> {
  let one = shown.get(key);
  if (one === undefined) {
    one = signal(latest.get(key));
    shown.set(key, one);
  }
  return one as Signal<T | undefined>;
}

export const account: Signal<AccountView | undefined> = entity<AccountView>("account");
export const doctor: Signal<DoctorView | undefined> = entity<DoctorView>("doctor");

/** The server's time now; the time of the pause while the page is paused. */
export function serverNow(): number {
  return frozenAt ?? Date.now() + offsetMs;
}

/** Follows everything, and the details of one cluster or group. */
export function follow(topic: string | null): void {
  source?.close();
  if (retry !== null) clearTimeout(retry);
  const url = topic === null ? "events" : `events?show=${encodeURIComponent(topic)}`;
  const opened = new EventSource(url);
  source = opened;
  opened.onmessage = (event) => take(JSON.parse(String(event.data)) as Update);
  opened.onerror = () => {
    link.value = "lost";
    // The browser gives up after an answer such as 503.
    if (opened.readyState === EventSource.CLOSED) retry = setTimeout(() => follow(topic), RETRY_MS);
  };
}

function take({ now: sentAt, full, set, gone }: Update): void {
  heardAt = performance.now();
  const ahead = sentAt - Date.now();
  // The event may have waited on the way: the largest value is nearest to the truth.
  offsetMs = full || Math.abs(ahead - offsetMs) > 1_000 ? ahead : Math.max(offsetMs, ahead);
  const dropped = full ? [...latest.keys()].filter((key) => !(key in set)) : gone;
  for (const key of dropped) latest.delete(key);
  for (const [key, value] of Object.entries(set)) latest.set(key, value);
  for (const key of [...dropped, ...Object.keys(set)]) waiting.add(key);
  link.value = "live";
  if (!paused.value) show();
}

function show(): void {
  for (const key of waiting) {
    const one = shown.get(key);
    const value = latest.get(key);
    if (one !== undefined) one.value = value;
    // Keys of details are read by nothing once the page has moved on.
    if (value === undefined && key.split("/").length > 2) shown.delete(key);
  }
  waiting.clear();
  const ids = (kind: string): string[] =>
    [...latest.keys()]
      .map((key) => key.split("/"))
      .flatMap(([first, id = "", more]) => (first === kind && more === undefined ? [id] : []))
      .sort();
  setIds(clusterIds, ids("cluster"));
  setIds(groupIds, ids("group"));
  now.value = serverNow();
}

function setIds(target: Signal<readonly string[]>, ids: readonly string[]): void {
  if (ids.join() !== target.value.join()) target.value = ids;
}

export function togglePause(): void {
  paused.value = !paused.value;
  frozenAt = paused.value ? Date.now() + offsetMs : null;
  if (!paused.value) show();
}

setInterval(() => {
  if (!paused.value) now.value = serverNow();
  if (performance.now() - heardAt > SILENT_MS && link.value === "live") link.value = "lost";
}, 1_000);

const token = document.querySelector<HTMLMetaElement>('meta[name="control-token"]')?.content ?? null;

/** Whether this page may change something. */
export const mayControl: boolean = token !== null;

export async function control(request: ControlRequest): Promise<ControlAnswer> {
  try {
    const response = await fetch("control", {
      method: "POST",
      headers: { "content-type": "application/json", "x-nats-leader-token": token ?? "" },
      body: JSON.stringify(request),
    });
    return (await response.json()) as ControlAnswer;
  } catch (error) {
    return { ok: false, error: `the request could not be sent: ${String(error)}` };
  }
}
