/** Decodes the answer of `$JS.API.INFO`: what an account uses, and what it may use. */
import { asObject, type JsonObject } from "../../nats/api/js-api.ts";
import { type Facts, percentOf, type Usage } from "../facts.ts";
import { objectIn } from "./json.ts";
import { usageOf } from "./read-server.ts";

/** An account may have limits per number of replicas (tiers). The tier with the highest usage counts. */
export function accountUsage(info: JsonObject): Facts["account"] {
  const tiers = Object.values(objectIn(info, "tiers") ?? {}).flatMap(
    (tier) => asObject(tier) ?? [],
  ) as JsonObject[];
  const worst = (used: "memory" | "storage", limit: string): Usage | null => {
    const all = (tiers.length === 0 ? [info] : tiers).flatMap((tier): Usage[] =>
      [usageOf(tier, used, objectIn(tier, "limits"), limit)].filter((one) => one !== null),
    );
    return all.sort((a, b) => (percentOf(b) ?? 0) - (percentOf(a) ?? 0))[0] ?? null;
  };
  const memory = worst("memory", "max_memory");
  const storage = worst("storage", "max_storage");
  return memory === null || storage === null ? null : { memory, storage };
}
