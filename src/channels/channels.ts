/**
 * Publishes on the channels. Nothing is built and nothing is called while no subscriber listens: a payload is a function, which is called
 * only then.
 *
 * The name of a tracing channel is that of the plain channels of which it consists, so `diagnostics_channel.tracingChannel()` is not
 * needed here, and runtimes without it lack nothing.
 */
import { channel } from "node:diagnostics_channel";
import type { ChannelEvents, ChannelName } from "./events.ts";

const ALL = [
  "tracing:nats-leader:term:start",
  "tracing:nats-leader:term:end",
  "nats-leader:leader",
  "nats-leader:renewal",
  "nats-leader:suspended",
  "nats-leader:resumed",
  "nats-leader:suspicion",
  "nats-leader:handover",
  "nats-leader:hook",
  "nats-leader:drain",
  "nats-leader:move",
  "nats-leader:beat",
  "nats-leader:fenced-write",
] as const satisfies readonly ChannelName[];

true satisfies ChannelName extends (typeof ALL)[number] ? true : never;

/** Every channel. */
export const NAMES: readonly ChannelName[] = ALL;

type Channels = Readonly<Record<ChannelName, ReturnType<typeof channel>>>;

const channels = Object.fromEntries(NAMES.map((name) => [name, channel(name)])) as unknown as Channels;

/** Does anything listen? For what has to be remembered from one event to another. */
export function hasListener(name: ChannelName): boolean {
  return channels[name].hasSubscribers;
}

/**
 * Publishes what `payload` returns, if anything listens. Never throws: Node hands the error of a subscriber to `uncaughtException` in a
 * later turn; a runtime that throws it here must not end a step of the election.
 */
export function publish<N extends ChannelName>(name: N, payload: () => ChannelEvents[N]): void {
  const target = channels[name];
  if (!target.hasSubscribers) return;
  try {
    target.publish(payload());
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown;
    });
  }
}
