/** The table of metrics of docs/telemetry.md. */
import { type Instrument, instruments, PREFIX } from "../../src/telemetry/instruments.ts";

export function instrumentTable(): string {
  const rows = instruments.map(([name, instrument]) => {
    const { kind, of, help } = instrument;
    return `| \`${PREFIX}${name}\` | ${kind} | ${of.map((one) => (one === "node" ? "node" : "member")).join(", ")} | ${labelOf(instrument)} | ${help} |`;
  });
  return [
    "| metric | kind | of | label and values | meaning |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function labelOf({ label }: Instrument): string {
  if (label === undefined) return "";
  const { node = [], group = [] } = label.values;
  const all = [...new Set([...node, ...group])];
  return `\`${label.name}\`: ${all.map((value) => `\`${value}\``).join(", ")}`;
}
