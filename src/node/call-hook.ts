/** Calls one hook of the application. */
import type { HookCall } from "../application/types.ts";
import type { Hooks } from "./hooks.ts";
import type { Term } from "./term.ts";

/** @param term - Of a call that belongs to one. */
export function callHook(hooks: Hooks, call: HookCall, term: Term | undefined): unknown {
  switch (call.hook) {
    case "onBecomeLeader":
      return hooks.onBecomeLeader?.(present(term));
    case "onLoseLeadership":
      return hooks.onLoseLeadership?.(present(term), call.reason);
    case "onLeaderChange":
      return hooks.onLeaderChange?.(call.leader);
    case "onNatsDisconnect":
      return hooks.onNatsDisconnect?.(call.error, call.server);
    case "onNatsReconnect":
      return hooks.onNatsReconnect?.(call.server);
    default:
      return call satisfies never;
  }
}

function present(term: Term | undefined): Term {
  if (term === undefined) throw new Error("bug: a hook of a term is called without one");
  return term;
}
