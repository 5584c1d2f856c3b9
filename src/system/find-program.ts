/** Finds programs as a shell does. */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The existing files that a command can mean: its own path if it contains a slash, else its name in the folders of `PATH`. */
export function pathsOf(command: string, path: string): string[] {
  // An empty entry of PATH is the working directory.
  const folders = command.includes("/") ? [""] : path.split(delimiter);
  return folders.map((folder) => (folder === "" ? command : join(folder, command))).filter(existsSync);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Unlike a shell it ignores empty entries of PATH, so that it never runs a program of the working directory.
 * @param folders where to search after PATH.
 */
export function findProgram(name: string, folders: readonly string[] = []): string | null {
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...path, ...folders].map((folder) => join(folder, name)).find(isExecutable) ?? null;
}
