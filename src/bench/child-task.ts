/** The child's side of `BenchChild`. */

/** The task of this process, a child of a benchmark. From now on it ends with its parent and ignores Ctrl-C, which the parent handles. */
export function readTask<T>(): T {
  const task = JSON.parse(process.argv[2] ?? "null") as T | null;
  if (task === null || process.send === undefined)
    throw new Error("this program must be started by the benchmark, with a task and an IPC channel");
  process.on("disconnect", () => process.exit(1));
  // Ctrl-C reaches the whole process group; the parent ends its children.
  process.on("SIGINT", () => {});
  return task;
}
