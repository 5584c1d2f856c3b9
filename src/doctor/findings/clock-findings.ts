/** Findings about clocks whose offset or rate differs by more than the error of the readings. */
import type { ClockReading } from "../clocks/clock.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "./finding.ts";
import { OFFSET_MS, RATE_CRITICAL_PPM, RATE_WARNING_PPM } from "./thresholds.ts";

interface Named {
  readonly where: string;
  readonly clock: ClockReading;
}

/** Compares every clock with that of one server, the bucket's leader if known. This machine's own clocks cancel out. */
export function clockFindings(facts: Facts): Finding[] {
  const servers = facts.servers.flatMap(({ name, clock }): Named[] =>
    clock === null ? [] : [{ where: name, clock }],
  );
  const reference = servers.find(({ where }) => where === facts.bucket?.leader) ?? servers[0];
  if (reference === undefined) return [];
  const nodes = (facts.nodes ?? []).flatMap(({ nodeId, clock }): Named[] =>
    clock === null ? [] : [{ where: `node ${nodeId}`, clock }],
  );
  return [...servers, ...nodes]
    .filter((one) => one !== reference)
    .flatMap((one) => [...offsetFindings(one, reference), ...rateFindings(one, reference)]);
}

function offsetFindings({ where, clock }: Named, reference: Named): Finding[] {
  if (clock.offsetMs === null || reference.clock.offsetMs === null) return [];
  const difference = clock.offsetMs - reference.clock.offsetMs;
  const error = clock.offsetErrorMs + reference.clock.offsetErrorMs;
  if (Math.abs(difference) - error <= OFFSET_MS) return [];
  const direction = difference > 0 ? "ahead of" : "behind";
  return [
    {
      severity: "warning",
      code: "clock-offset",
      where,
      what: `its wall clock is ${Math.abs(difference).toFixed(0)} ms (± ${error.toFixed(0)}) ${direction} that of ${reference.where}`,
      todo: "synchronise the clocks (NTP). Leases do not depend on it; logs, history, certificates and a bucket's max-age do",
    },
  ];
}

function rateFindings({ where, clock }: Named, reference: Named): Finding[] {
  if (clock.ratePpm === null || reference.clock.ratePpm === null) return [];
  const difference = clock.ratePpm - reference.clock.ratePpm;
  const certain = Math.abs(difference) - clock.rateErrorPpm - reference.clock.rateErrorPpm;
  if (certain <= RATE_WARNING_PPM) return [];
  const percent = (Math.abs(difference) / 10_000).toFixed(1);
  return [
    {
      severity: certain > RATE_CRITICAL_PPM ? "critical" : "warning",
      code: "clock-rate",
      where,
      what: `its clock runs ${percent} % ${difference > 0 ? "faster" : "slower"} than that of ${reference.where}; above 5 % two leaders are possible`,
      todo: "examine it again; if it persists, that machine's clock is broken or being adjusted: do not let it lead",
    },
  ];
}
