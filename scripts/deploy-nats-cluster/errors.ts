/** What went wrong, where, and what to do about it, for a person at a terminal. */
export class DeployError extends Error {
  override readonly name = "DeployError";
}
