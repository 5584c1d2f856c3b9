/** Text that is derived from the code: `npm run generate` writes it, tests compare it. */
import { OPTIONS } from "../../src/config/accepted.ts";
import { jsonSchema } from "../../src/config/file/schema.ts";

/** Every option as a Markdown table, for the README. */
export function optionsTable(): string {
  const rows = Object.entries(OPTIONS).map(
    ([name, { type, fallback, rule }]) => `| \`${name}\` | ${type} | ${fallback} | ${rule} |`,
  );
  return ["| option | type | default | must be |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

/** The JSON Schema of the configuration file in the format of the repository: short lists on one line. */
export function schemaText(): string {
  const text = JSON.stringify(jsonSchema(), null, 2);
  return `${text.replace(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (_, items: string) => `[${items.replace(/,\n\s+/g, ", ")}]`)}\n`;
}
