/** Writes the parts of README.md and schema/ that are derived from the code: `npm run generate`. CI fails if that changes a file. */
import { readFileSync, writeFileSync } from "node:fs";
import { optionsTable, schemaText } from "./generated.ts";

const readmePath = new URL("../../README.md", import.meta.url);
const quickStart = readFileSync(new URL("../../examples/quick-start.ts", import.meta.url), "utf8").trim();

function fill(text: string, name: string, content: string): string {
  const section = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- /generated -->)`);
  if (!section.test(text)) throw new Error(`README.md has no section "generated: ${name}"`);
  return text.replace(section, (_, open: string, close: string) => `${open}${content}\n${close}`);
}

let readme = readFileSync(readmePath, "utf8");
readme = fill(readme, "quick-start", `\`\`\`ts\n${quickStart}\n\`\`\``);
readme = fill(readme, "options", optionsTable().trim());
writeFileSync(readmePath, readme);
writeFileSync(new URL("../../schema/config.schema.json", import.meta.url), schemaText());
