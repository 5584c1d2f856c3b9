/** The flags of `run`. */
import type { ClusterFlags } from "../options.ts";
import type { Restart } from "../supervise/program-runner.ts";

export interface GroupRunFlags {
  readonly group?: string;
  readonly resources?: string;
  readonly weight?: number;
  readonly zone?: string;
  readonly maxOwned?: number;
  readonly settle?: number;
  readonly rejoinGrace?: number;
  readonly unownedGrace?: number;
  readonly maxMoves?: number;
  /** False with `--no-create-bucket`. */
  readonly createBucket?: boolean;
}

export interface RunFlags extends ClusterFlags, GroupRunFlags {
  readonly grace: number;
  readonly restart: Restart;
  readonly restartDelay: number;
  readonly onSuspend: "freeze" | "continue";
  readonly passCredentials?: boolean;
}
