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
    const next = own(at, name) ?? {};
    if (!isTree(next)) return;
    define(at, name, next);
    at = next;
  }
  define(at, last, value);
}

/** Not a member of `Object.prototype`, such as `constructor`. */
function own(tree: Tree, name: string): unknown {
  return Object.hasOwn(tree, name) ? tree[name] : undefined;
}

/** An assignment to `__proto__` would replace the prototype instead. */
function define(tree: Tree, name: string, value: unknown): void {
  Object.defineProperty(tree, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Settings are at most three names deep: `nats.tls.ca`. An object below that is a value, which validation refuses. */
export const MAX_DEPTH = 3;

/** Paths of all values that are not objects. */
export function leaves(tree: Tree, above: readonly string[] = []): string[] {
  return Object.entries(tree).flatMap(([name, value]) => {
    const path = [...above, name];
    return isTree(value) && path.length < MAX_DEPTH ? leaves(value, path) : [path.join(".")];
  });
}

/** Removes `undefined` members: only given values are checked and printed. */
export function prune(tree: Tree, depth = 1): void {
  for (const [name, value] of Object.entries(tree)) {
    if (value === undefined) delete tree[name];
    else if (isTree(value) && depth < MAX_DEPTH) prune(value, depth + 1);
  }
}
