/** Looks every millisecond or so whether this host has an address, and reports when it did. */
import { networkInterfaces } from "node:os";
import { listen, say } from "../../processes/child-io.ts";

const wanted = process.argv[2];
const seen: { from: number; to: number }[] = [];
let looks = 0;
let present = false;

function look(): void {
  const now = Number(process.hrtime.bigint()) / 1e6;
  const found = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === wanted),
  );
  // What was found may be gone by the end of the look: `now` was read before it, so `to` is not too late.
  if (found && !present) seen.push({ from: Number(process.hrtime.bigint()) / 1e6, to: now });
  const last = seen.at(-1);
  if (found && last !== undefined && now > last.from) last.to = now;
  present = found;
  looks += 1;
  setTimeout(look, 1);
}

look();
listen(() => say({ seen: seen.filter(({ from, to }) => to >= from), looks }));
say({ ready: true });
