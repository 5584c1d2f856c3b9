/**
 * The changes of a board as server-sent events. The stream is pulled: nothing is made while the reader has not taken the event before, so
 * that a slow browser costs one event of memory, and then gets the newest state.
 */
import type { Update } from "../model/types.ts";
import type { Board, Changes } from "./board.ts";

/** Least time between two events of changes. */
const SPACING_MS = 40;

export interface EventStreamOptions {
  readonly board: Board;
  readonly topic: string | null;
  /** `Last-Event-ID` of a viewer that comes back; `null`: a new one. */
  readonly lastEventId: string | null;
  /** Time without a change after which an event says that the server is there. */
  readonly keepAliveMs: number;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  readonly onEnd: () => void;
}

export function eventStream(options: EventStreamOptions): ReadableStream<Uint8Array> {
  const { board, topic, keepAliveMs, signal, onEnd } = options;
  const encoder = new TextEncoder();
  let seen = seenBy(options);
  let isFirst = true;
  let sentAt = 0;
  let ended = false;
  let wake = (): void => {};
  const unlisten = board.listen(() => wake());
  const end = (): void => {
    if (ended) return;
    ended = true;
    unlisten();
    signal.removeEventListener("abort", onAbort);
    wake();
    onEnd();
  };
  const onAbort = (): void => end();
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) end();

  /** Resolves after `ms`, or at a change. */
  const change = async (ms: number): Promise<void> => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    wake = () => {};
  };
  /** Resolves after `ms`, or at the end. */
  const pause = async (ms: number): Promise<void> => {
    const until = performance.now() + ms;
    while (!ended && performance.now() < until) await change(until - performance.now());
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const begun = performance.now();
        const dueAt = begun + keepAliveMs;
        await pause(sentAt + SPACING_MS - begun);
        for (;;) {
          if (ended) return controller.close();
          const isKeepAliveDue = performance.now() >= dueAt;
          if (isFirst || isKeepAliveDue || (seen ?? -1) < board.last) {
            const changes = board.since(seen, topic);
            // What has changed may be for other viewers.
            if (isFirst || isKeepAliveDue || changes.set.length > 0 || changes.gone.length > 0) {
              isFirst = false;
              seen = changes.upTo;
              sentAt = performance.now();
              return controller.enqueue(encoder.encode(eventOf(changes, board.run)));
            }
            seen = changes.upTo;
          }
          await change(Math.max(1, dueAt - performance.now()));
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** The number in an id of this run; `null`: of another run, or none. */
function seenBy({ board, lastEventId }: EventStreamOptions): number | null {
  const [run, number] = lastEventId?.split(".") ?? [];
  return run === board.run && /^\d{1,15}$/.test(number ?? "") ? Number(number) : null;
}

function eventOf({ full, upTo, set, gone }: Changes, run: string): string {
  // JSON of ours has no line breaks: `JSON.stringify` escapes them.
  const values = set.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(",");
  const rest: Omit<Update, "set"> = { now: Date.now(), full, gone };
  const data = `{"set":{${values}},${JSON.stringify(rest).slice(1)}`;
  return `id: ${run}.${upTo}\ndata: ${data}\n\n`;
}
