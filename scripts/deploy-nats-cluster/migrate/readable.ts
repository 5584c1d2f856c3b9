/** Which nats-server can restore a snapshot: a newer one reads that of an older one, and not always the other way round. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { compareVersions, isCurrentEnough } from "../../../src/testing/server/find/versions.ts";
import type { Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { DATA_FILE } from "./snapshot.ts";
import type { SavedStream } from "./target.ts";

/** From this version on a snapshot is an archive of NATS itself, before a tar archive. Its first bytes, which S2 leaves as they are: */
const ARCHIVE_SINCE = "2.15.0";
const ARCHIVE_MAGIC = "NATSARC1";
/** More than the headers of S2 before them. */
const HEAD_BYTES = 64;

/**
 * Rejects before the first request of a restore if a server of the target cannot read a snapshot: its own answer would be "unexpected EOF" or
 * "archive/tar: invalid tar header".
 *
 * @param versions Of the servers of the target. Any of them may get the stream.
 */
export async function refuseUnreadable(
  saved: readonly SavedStream[],
  versions: readonly string[],
  say: Say,
): Promise<void> {
  const oldest = [...versions].sort(compareVersions).at(0);
  if (oldest === undefined) return;
  const archives = await Promise.all(saved.map(({ dir }) => isArchive(dir)));
  const unreadable = saved.filter((_, index) => archives[index]);
  const takenBy = saved.find((stream) => stream.takenBy !== null)?.takenBy ?? null;
  if (unreadable.length > 0 && compareVersions(oldest, ARCHIVE_SINCE) < 0) {
    const names = unreadable.map(({ info }) => info.name).join(", ");
    throw new DeployError(
      `nothing was sent: nats-server ${oldest} cannot read snapshots of nats-server ${ARCHIVE_SINCE} or newer, and that of ${names} was taken by ${takenBy ?? "one (the backup does not record which)"}. Restore into newer servers (NATS_SERVER=/path/to/nats-server selects one for "up", and "restart" starts it), or restore a backup that an older nats-server took`,
    );
  }
  if (takenBy !== null && !isCurrentEnough(oldest, takenBy))
    say(
      `note: taken by nats-server ${takenBy}, restored into the older ${oldest}, which may not know all that it contains`,
    );
}

async function isArchive(dir: string): Promise<boolean> {
  const file = await open(join(dir, DATA_FILE));
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead).includes(ARCHIVE_MAGIC);
  } finally {
    await file.close();
  }
}
