/** Checks about every millisecond whether this host has an address, and reports the periods in which it did. */
import { networkInterfaces } from "node:os";
import { listen, say } from "../../processes/child-io.ts";

const wanted = process.argv[2];
const seen: { from: number; to: number }[] = [];
let samples = 0;
let present = false;

function sample(): void {
  const now = Number(process.hrtime.bigint()) / 1e6;
  const found = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === wanted),
  );
  // `from` is read after the check and `to` before it, so that a period is never too long.
  if (found && !present) seen.push({ from: Number(process.hrtime.bigint()) / 1e6, to: now });
  const last = seen.at(-1);
  if (found && last !== undefined && now > last.from) last.to = now;
  present = found;
  samples += 1;
  setTimeout(sample, 1);
}

sample();
listen(() => say({ seen: seen.filter(({ from, to }) => to >= from), samples }));
say({ ready: true });
