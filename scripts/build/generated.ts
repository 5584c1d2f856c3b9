/** Text that is derived from the code: `npm run generate` writes it, tests compare it. */
import { OPTIONS, type OptionInfo } from "../../src/config/accepted.ts";
import { jsonSchema } from "../../src/config/file/schema.ts";
import { GROUP_OPTIONS } from "../../src/config/group.ts";
import { SHARED_OPTIONS } from "../../src/config/group-options.ts";

/** Every option as a Markdown table, for docs/reference.md. */
export function optionsTable(): string {
  return tableOf(Object.entries(OPTIONS));
}

/** The options that only a member of a group has, for docs/groups.md. */
export function groupOptionsTable(): string {
  const shared: readonly string[] = SHARED_OPTIONS;
  return tableOf(Object.entries(GROUP_OPTIONS).filter(([name]) => !shared.includes(name)));
}

function tableOf(options: readonly (readonly [string, OptionInfo])[]): string {
  const rows = options.map(
    ([name, { type, fallback, rule }]) => `| \`${name}\` | ${type} | ${fallback} | ${rule} |`,
  );
  return ["| option | type | default | must be |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

/** The JSON Schema of the configuration file in the format of the repository: short lists on one line. */
export function schemaText(): string {
  const text = JSON.stringify(jsonSchema(), null, 2);
  return `${text.replace(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (_, items: string) => `[${items.replace(/,\n\s+/g, ", ")}]`)}\n`;
}
