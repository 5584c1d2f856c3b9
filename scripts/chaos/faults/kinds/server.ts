import type { FaultName } from "../names.ts";
import { type FaultKind, sameTerm, termMayEnd } from "./kind.ts";

export const SERVER_KINDS: Readonly<Record<FaultName<"server">, FaultKind>> = {
  "server-kill": { what: "SIGKILL of a server", ...termMayEnd, costMs: 2500, clusterMs: 8000 },
  "server-restart": {
    what: "a server is restarted",
    ...termMayEnd,
    costMs: 2000,
    clusterMs: 5000,
  },
  "server-freeze-short": {
    what: "SIGSTOP of a server, shorter than the span",
    ...termMayEnd,
    costMs: 1500,
    clusterMs: 4000,
  },
  "server-freeze": {
    what: "SIGSTOP of a server, longer than the lease",
    ...termMayEnd,
    costMs: 5000,
    clusterMs: 8000,
  },
  "lame-duck": {
    what: "a server goes into lame duck mode, then is restarted",
    ...termMayEnd,
    costMs: 4000,
    clusterMs: 6000,
  },
  "rolling-restart": {
    what: "all servers are restarted one after another",
    ...termMayEnd,
    needs: "cluster",
    costMs: 14_000,
  },
  "quorum-lost": {
    what: "two of three servers are frozen or killed",
    ...termMayEnd,
    needs: "cluster",
    costMs: 10_000,
  },
  "servers-all-killed": {
    what: "SIGKILL of all servers at once",
    ...termMayEnd,
    needs: "cluster",
    costMs: 9000,
  },
  "route-split": {
    what: "one server is cut off from the other two, its clients stay connected",
    ...termMayEnd,
    needs: "cluster",
    costMs: 9000,
  },
  "stream-leader-stepdown": {
    what: "the bucket's stream elects another leader",
    ...sameTerm,
    needs: "cluster",
    costMs: 1500,
  },
  "credentials-revoked": {
    what: "the leader's user is revoked and disconnected, later restored",
    ...termMayEnd,
    costMs: 2500,
  },
  "all-credentials-revoked": {
    what: "the users of all nodes are revoked, later restored",
    ...termMayEnd,
    costMs: 5000,
  },
  "disk-full": {
    what: "a server's disk is full; later it has free space and the server is restarted",
    ...termMayEnd,
    needs: "disks",
    costMs: 5500,
    clusterMs: 9000,
  },
  "jetstream-off": {
    what: "a server runs without JetStream, later with it again",
    ...termMayEnd,
    costMs: 5000,
    clusterMs: 8000,
  },
};
