/** From counts to names: which resource of a class takes which route. Classes and hubs hand out their resources in order of name. */
import type { ResourceClass } from "./classes.ts";
import type { Route, Routes } from "./network.ts";

/** Writes the number of the new owner of each resource that goes to a member. */
export function handOut(routes: Routes, classes: readonly ResourceClass[], newOwnerOf: Int32Array): void {
  const atHubs: number[][] = routes.ofHubs.map(() => []);
  for (const [index, { resources }] of classes.entries()) {
    let next = 0;
    for (const { toHub, to, count } of routes.ofClasses[index] as readonly Route[]) {
      const end = next + count;
      for (; next < end; next += 1) {
        const resource = resources[next] as number;
        if (toHub) (atHubs[to] as number[]).push(resource);
        else newOwnerOf[resource] = to;
      }
    }
  }
  for (const [hub, resources] of atHubs.entries()) {
    resources.sort((a, b) => a - b);
    let next = 0;
    for (const { to, count } of routes.ofHubs[hub] as readonly Route[]) {
      const end = next + count;
      for (; next < end; next += 1) newOwnerOf[resources[next] as number] = to;
    }
  }
}
