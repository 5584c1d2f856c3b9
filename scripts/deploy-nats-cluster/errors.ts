/** An error whose message is complete for the user: what failed, where, and what to do. */
export class DeployError extends Error {
  override readonly name = "DeployError";
}
