/** Values in nested objects, by dotted path. */

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

/** Creates the objects on the path. Does nothing if a value on the path is not an object: validation reports it. */
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

/** Paths of all values that are not objects. */
export function leaves(tree: Tree, prefix = ""): string[] {
  return Object.entries(tree).flatMap(([name, value]) =>
    isTree(value) ? leaves(value, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}
