/** Says changes of leaders to screen readers. */
import { effect } from "@preact/signals";
import type { ClusterCard } from "../model/types.ts";
import { announcement, clusterIds, entity } from "./store.ts";

export function announceLeaders(): void {
  const known = new Map<string, string>();
  effect(() => {
    const changes: string[] = [];
    for (const id of clusterIds.value) {
      const card = entity<ClusterCard>(`cluster/${id}`).value;
      if (card === undefined || card.phase === "unread") continue;
      const text =
        card.leader === null ? `${id}: no leader` : `${id}: ${card.leader} leads, epoch ${card.epoch}`;
      if (known.has(id) && known.get(id) !== text) changes.push(text);
      known.set(id, text);
    }
    if (changes.length > 0) announcement.value = changes.join("; ");
  });
}
