/** Typed access to fields of JSON from servers. A field of another type counts as missing. */
import { asObject, type JsonObject } from "../../nats/api/js-api.ts";

export function objectIn(json: JsonObject | null, field: string): JsonObject | null {
  return asObject(json?.[field]);
}

export function textIn(json: JsonObject | null, field: string): string | null {
  const value = json?.[field];
  return typeof value === "string" && value !== "" ? value : null;
}

export function numberIn(json: JsonObject | null, field: string): number | null {
  const value = json?.[field];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function listIn(json: JsonObject | null, field: string): JsonObject[] {
  const value = json?.[field];
  const members: readonly unknown[] = Array.isArray(value) ? value : [];
  return members.map(asObject).filter((one) => one !== null);
}

export function textsIn(json: JsonObject | null, field: string): string[] {
  const value = json?.[field];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

/** Unix milliseconds with fractions. Servers write nanoseconds, which `Date` would round to milliseconds. */
export function timeIn(json: JsonObject | null, field: string): number | null {
  const text = textIn(json, field);
  const [, head, fraction = "", zone] = /^(.+?:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(text ?? "") ?? [];
  const whole = Date.parse(`${head}${zone}`);
  return Number.isNaN(whole) ? null : whole + Number(fraction || "0") * 1_000;
}
