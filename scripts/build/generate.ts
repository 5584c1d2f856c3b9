/** Writes the parts of README.md, docs/, schema/ and examples/observability that are derived from the code: `npm run generate`. CI fails if that changes a file. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { observabilityFiles } from "../../examples/observability/source/files.ts";
import { cliTables } from "./cli-reference.ts";
import { groupOptionsTable, optionsTable, schemaText } from "./generated.ts";
import { instrumentTable } from "./metrics-reference.ts";
import { alertTables, metricTables, runbook } from "./observability.ts";
import { groupTables, referenceTables } from "./reference.ts";

const root = new URL("../../", import.meta.url);
const quickStart = readFileSync(new URL("examples/quick-start.ts", root), "utf8").trim();

/** Replaces the sections `<!-- generated: NAME -->` of a Markdown file. */
function fill(path: string, sections: Readonly<Record<string, string>>): void {
  const file = new URL(path, root);
  let text = readFileSync(file, "utf8");
  for (const [name, content] of Object.entries(sections)) {
    const section = new RegExp(`(<!-- generated: ${name} -->\n)[^]*?(<!-- /generated -->)`);
    if (!section.test(text)) throw new Error(`${path} has no section "generated: ${name}"`);
    text = text.replace(section, (_, open: string, close: string) => `${open}${content}\n${close}`);
  }
  writeFileSync(file, text);
}

fill("README.md", { "quick-start": `\`\`\`ts\n${quickStart}\n\`\`\`` });
fill("docs/reference.md", { options: optionsTable().trim(), ...referenceTables() });
fill("docs/groups.md", { "group-options": groupOptionsTable().trim(), ...groupTables() });
fill("docs/cli.md", await cliTables());
writeFileSync(new URL("schema/config.schema.json", root), schemaText());
fill("docs/observability.md", { ...metricTables(), ...alertTables() });
fill("docs/telemetry.md", { metrics: instrumentTable() });
fill("docs/operations.md", { runbook: runbook() });
for (const [path, text] of observabilityFiles()) {
  const file = new URL(`examples/observability/${path}`, root);
  mkdirSync(new URL(".", file), { recursive: true });
  writeFileSync(file, text);
}
