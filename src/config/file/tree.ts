/** Values by their dotted path in nested objects. */

export type Tree = { [name: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function get(tree: Tree, path: string): unknown {
  let value: unknown = tree;
  for (const name of path.split(".")) {
    if (!isTree(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Makes the objects on the way; gives up silently where something else is in the way, which validation reports. */
export function put(tree: Tree, path: string, value: unknown): void {
  const names = path.split(".");
  const last = names.pop();
  if (last === undefined) return;
  let at = tree;
  for (const name of names) {
    const next = at[name] ?? {};
    if (!isTree(next)) return;
    at[name] = next;
    at = next;
  }
  at[last] = value;
}

/** Paths of everything that is not an object. */
export function leaves(tree: Tree, prefix = ""): string[] {
  return Object.entries(tree).flatMap(([name, value]) =>
    isTree(value) ? leaves(value, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}
