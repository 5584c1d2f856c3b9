/** Finds the targets: each file of `targets/` is one. */
import { readdir } from "node:fs/promises";
import type { AnyFuzzTarget } from "./target.ts";

export async function findTargets(): Promise<AnyFuzzTarget[]> {
  const folder = new URL("./targets/", import.meta.url);
  const files = (await readdir(folder)).filter((file) => /(?<!\.d)\.[jt]s$/.test(file)).sort();
  return Promise.all(
    files.map(async (file) => {
      const { target } = (await import(new URL(file, folder).href)) as { readonly target?: AnyFuzzTarget };
      if (target === undefined) throw new Error(`scripts/fuzz/targets/${file} exports no target`);
      return target;
    }),
  );
}
