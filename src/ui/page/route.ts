/** Which part of the page is shown: the fragment of the address. */
import { batch, type Signal, signal } from "@preact/signals";
import { filter } from "./store.ts";

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "cluster"; readonly id: string }
  | { readonly page: "group"; readonly id: string };

export const route: Signal<Route> = signal(routeOf(location.hash));

/** Each page has its own: what finds a cluster would hide the nodes of it. */
const filters = new Map<string | null, string>();

addEventListener("hashchange", () => {
  filters.set(topicOf(route.value), filter.value);
  batch(() => {
    route.value = routeOf(location.hash);
    filter.value = filters.get(topicOf(route.value)) ?? "";
  });
});

function routeOf(hash: string): Route {
  const [, page, id] = /^#\/(cluster|group)\/([A-Za-z0-9_-]{1,64})$/.exec(hash) ?? [];
  if (id === undefined) return { page: "overview" };
  return { page: page === "group" ? "group" : "cluster", id };
}

/** What the server sends details of. */
export function topicOf(to: Route): string | null {
  return to.page === "overview" ? null : `${to.page}/${to.id}`;
}
