/** Checks each option by itself. A problem quotes option, value and rule. */
import type * as z from "zod/mini";
import { printable } from "../log/printable.ts";
import { redactText, redactUrl } from "../log/redact.ts";
import { OPTIONS, type OptionInfo, type OptionName, type OptionTable } from "./accepted.ts";
import { unknownKey } from "./suggest.ts";

export interface EachChecked<Name> {
  readonly problems: readonly string[];
  readonly invalid: ReadonlySet<Name>;
}

/** One line for each option that is invalid by itself, and for each that does not exist. */
export function checkEach<Name extends string>(options: object, table: OptionTable<Name>): EachChecked<Name> {
  const problems = new Set<string>();
  const invalid = new Set<Name>();
  for (const issue of table.schema.safeParse(options).error?.issues ?? []) {
    const [name, part] = issue.path as [Name?, PropertyKey?];
    if (name !== undefined) invalid.add(name);
    if (issue.code === "unrecognized_keys") {
      const keys = issue.keys.slice(0, MAX_UNKNOWN);
      for (const key of keys) problems.add(unknownKey(name, key, table));
      if (keys.length < issue.keys.length)
        problems.add(`${issue.keys.length - keys.length} more unknown options`);
    } else if (name !== undefined) {
      problems.add(wrong(name, part, (options as Record<Name, unknown>)[name], table.infos[name]));
    } else throw new Error(`bug: unexpected issue ${issue.code}`);
  }
  return { problems: [...problems], invalid };
}

function wrong(name: string, part: PropertyKey | undefined, value: unknown, info: OptionInfo): string {
  const { rule, schema } = info;
  if (value === undefined) return `${name} is missing; it must be ${rule}`;
  if (name === "tls" && part !== undefined) {
    const inner = (value as Record<PropertyKey, unknown>)[part];
    return `tls.${String(part)} ${kindOf(inner)} must fit into tls, ${rule}`;
  }
  return `${quoteAs(name, value, info)} must be ${rule}${hintFor(schema, value)}`;
}

/** Option and value; a secret value is replaced by its type. */
export function quote(name: OptionName, value: unknown): string {
  return quoteAs(name, value, OPTIONS[name]);
}

function quoteAs(name: string, value: unknown, { secret }: OptionInfo): string {
  return `${name} ${secret === true ? kindOf(value) : show(value)}`;
}

/** A string in place of a number or boolean usually comes from an environment variable. */
function hintFor(schema: z.ZodMiniType, value: unknown): string {
  if (typeof value !== "string") return "";
  const asBoolean = value === "true" || value === "false";
  const asNumber = value.trim() !== "" && Number.isFinite(Number(value));
  if (asNumber && schema.safeParse(Number(value)).success) {
    return ", as a number: environment variables are strings, convert them with Number(...)";
  }
  if (asBoolean && schema.safeParse(value === "true").success) {
    return ', as a boolean: environment variables are strings, convert them with ... === "true"';
  }
  return "";
}

const MAX_UNKNOWN = 20;
const MAX_SHOWN = 80;
const MAX_ITEMS_SHOWN = 5;

/** A value as an error quotes it: without secrets, and shortened. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    const safe = redactText(redactUrl(value));
    return printable(JSON.stringify(safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}...` : safe));
  }
  if (Array.isArray(value)) {
    const items = value
      .slice(0, MAX_ITEMS_SHOWN)
      .map((item) => (Array.isArray(item) ? kindOf(item) : show(item)));
    return `[${items.join(", ")}${value.length > MAX_ITEMS_SHOWN ? ", ..." : ""}]`;
  }
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined) {
    return String(value);
  }
  return kindOf(value);
}

/** The type of a value that must not be shown. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") return value === "" ? "(an empty string)" : "(a hidden string)";
  if (Array.isArray(value)) return "(an array)";
  return typeof value === "object" ? "(an object)" : `(a ${typeof value})`;
}
