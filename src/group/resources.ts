/** The list of a member's resources, which may change. */
import { checkResourceList } from "../config/group.ts";
import type { ResourceSource } from "../config/group-options.ts";
import { ClusterError, messageOf } from "../errors.ts";
import { untilAborted } from "../runtime/waiting.ts";
import type { Resource } from "./core/balance.ts";

export interface OpenResources {
  readonly first: readonly Resource[];
  /** The lists that follow, unchecked; `null`: none. */
  readonly later: AsyncIterator<unknown> | null;
  /** Ends the source. Idempotent. */
  close(): void;
}

/**
 * Waits for the first list.
 *
 * @throws ClusterError `INVALID_CONFIG` if there is none that can be used, `ABORTED` by the signal.
 */
export async function openResources(
  resources: readonly Resource[] | ResourceSource,
  signal: AbortSignal,
): Promise<OpenResources> {
  if (typeof resources !== "function") return { first: resources, later: null, close: () => {} };
  const ended = new AbortController();
  let lists: AsyncIterator<unknown> | null = null;
  const close = (): void => {
    if (ended.signal.aborted) return;
    ended.abort();
    void finish(lists);
  };
  try {
    lists = listsOf(resources, ended.signal);
    const next = await untilAborted(lists.next(), signal, aborted);
    if (next.done === true) throw unusable("it has ended without a list");
    return { first: checkResourceList(next.value), later: lists, close };
  } catch (error) {
    close();
    throw error instanceof ClusterError ? error : unusable(messageOf(error), error);
  }
}

/** What the source throws at its end is of no interest. */
async function finish(lists: AsyncIterator<unknown> | null): Promise<void> {
  try {
    await lists?.return?.();
  } catch {}
}

function listsOf(source: ResourceSource, signal: AbortSignal): AsyncIterator<unknown> {
  const iterable: unknown = source(signal);
  const begin = (iterable as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator];
  if (typeof begin !== "function") throw unusable("the function must return an async iterable of lists");
  return begin.call(iterable);
}

function unusable(why: string, cause?: unknown): ClusterError {
  return new ClusterError("INVALID_CONFIG", `the source of resources cannot be used: ${why}`, { cause });
}

function aborted(reason: unknown): ClusterError {
  return new ClusterError("ABORTED", "aborted while waiting for the first list of resources", {
    cause: reason,
  });
}
