/** An error whose message is complete for the user: what failed, where, and what to do. */
export class DeployError extends Error {
  override readonly name = "DeployError";
}

/** The code of an error of the operating system, such as "ENOSPC"; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error && "syscall" in error && "code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Whether this is a fault of the script: its stack is needed then. The messages of all other errors are for the user. */
export function isFault(error: unknown): boolean {
  return [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind);
}
