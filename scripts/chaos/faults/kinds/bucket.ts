import type { FaultName } from "../names.ts";
import { excused, type FaultKind, sameTerm, termMayEnd, unnoticed } from "./kind.ts";

export const BUCKET_KINDS: Readonly<Record<FaultName<"bucket">, FaultKind>> = {
  "key-deleted": { what: "an operator deletes the key", ...excused("operator"), costMs: 3500 },
  "key-purged": { what: "an operator purges the stream", ...excused("operator"), costMs: 3500 },
  "bucket-deleted": { what: "an operator deletes the bucket", ...excused("operator"), costMs: 3500 },
  "bucket-recreated": {
    what: "an operator deletes and recreates the bucket",
    ...excused("operator"),
    costMs: 3500,
  },
  garbage: { what: "the lease is overwritten with random bytes", ...termMayEnd, costMs: 3500 },
  "huge-record": { what: "the lease is overwritten with 900 kB", ...termMayEnd, costMs: 3500 },
  "foreign-record": {
    what: "the lease is overwritten with a record of an unknown node",
    ...termMayEnd,
    costMs: 3500,
  },
  "old-events": {
    what: "old notices of lease writes are sent again, twice and out of order",
    ...unnoticed,
    costMs: 1200,
  },
  "forged-advisory": {
    what: "a user of the account publishes an advisory that the leader's presence is deleted",
    ...unnoticed,
    needs: "presence",
    costMs: 1200,
  },
  "forged-status": {
    what: "a user of the account answers status requests as if it were the leader",
    ...unnoticed,
    costMs: 1200,
  },
  stranger: {
    what: "a user without the permissions of a node tries to write, delete and announce",
    ...unnoticed,
    costMs: 1500,
  },
  "presence-deleted": {
    what: "the leader's presence consumer is deleted while the leader runs",
    ...sameTerm,
    needs: "presence",
    costMs: 1500,
  },
};
