import { hostNowMs } from "../harness/host-clock.ts";
import type { Stall } from "../node/recording.ts";

const EVERY_MS = 20;
const STALL_MS = 60;

/** Records when this process was not scheduled. All bytes between nodes and servers pass through it. */
export function watchStalls(): { readonly seen: readonly Stall[]; stop(): void } {
  const seen: Stall[] = [];
  let lastMs = hostNowMs();
  const timer = setInterval(() => {
    const nowMs = hostNowMs();
    if (nowMs - lastMs > STALL_MS) seen.push({ fromMs: lastMs, untilMs: nowMs });
    lastMs = nowMs;
  }, EVERY_MS);
  return { seen, stop: () => clearInterval(timer) };
}
