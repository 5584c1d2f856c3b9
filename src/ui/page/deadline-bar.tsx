/** A bar that runs down to the end of the lease, and is full again at each renewal. */
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { LeaseCard } from "../model/types.ts";
import { duration } from "./format.ts";
import { entity, now, paused, serverNow } from "./store.ts";
import { calm } from "./theme.ts";

export function DeadlineBar({ id }: { readonly id: string }) {
  const lease = entity<LeaseCard>(`lease/${id}`).value;
  const bar = useRef<HTMLSpanElement>(null);
  const isPaused = paused.value;
  useEffect(() => {
    const element = bar.current;
    if (element === null || lease === undefined) return undefined;
    const leftMs = Math.max(0, lease.renewedAt + lease.ttlMs - serverNow());
    const share = Math.min(1, leftMs / Math.max(1, lease.ttlMs));
    element.style.transform = `scaleX(${share})`;
    if (calm.matches || isPaused) return undefined;
    const keyframes = [{ transform: `scaleX(${share})` }, { transform: "scaleX(0)" }];
    const running = element.animate(keyframes, { duration: Math.max(1, leftMs), fill: "forwards" });
    return () => running.cancel();
  }, [lease, isPaused]);
  if (lease === undefined) return <div class="deadline deadline-none" />;
  return (
    <div class="deadline" data-level={levelOf(lease)}>
      <div class="deadline-track">
        <span class="deadline-fill" ref={bar} />
      </div>
      <Remaining lease={lease} />
    </div>
  );
}

function leftOf(lease: LeaseCard): number {
  return lease.renewedAt + lease.ttlMs - now.value;
}

function levelOf(lease: LeaseCard): "ample" | "low" | "out" {
  const share = leftOf(lease) / lease.ttlMs;
  return share > 0.5 ? "ample" : share > 0.2 ? "low" : "out";
}

function Remaining({ lease }: { readonly lease: LeaseCard }) {
  // Drawn once a second, and whenever the lease is renewed.
  const seconds = useComputed(() => now.value);
  const left = lease.renewedAt + lease.ttlMs - seconds.value;
  const text = left > 0 ? `expires in ${Math.ceil(left / 1_000)} s unless renewed` : "overdue";
  return (
    <p class="deadline-text">
      <span>{text}</span>
      <span class="dim">lease {duration(lease.ttlMs)}</span>
    </p>
  );
}
