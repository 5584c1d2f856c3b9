import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist",
  ENOTDIR: "its folder is a file",
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
};

/** Why a file cannot be written, or `null`. For a check before long work whose result goes there. Creates nothing. */
export function whyNotWritable(file: string): string | null {
  try {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) return "it is a folder";
    accessSync(found === undefined ? dirname(file) : file, constants.W_OK);
    return null;
  } catch (error) {
    return REASONS[(error as NodeJS.ErrnoException).code ?? ""] ?? messageOf(error);
  }
}
