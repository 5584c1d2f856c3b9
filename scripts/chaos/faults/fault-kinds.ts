/** The faults, one by one. */
import type { FaultKind, FaultName } from "./catalogue.ts";

const none = { blame: "none", effect: "any" } as const;
const unnoticed = { blame: "none", effect: "nothing" } as const;
const sameTerm = { blame: "none", effect: "same-term" } as const;
const operator = { blame: "operator", effect: "any" } as const;

export const KINDS: Readonly<Record<FaultName, FaultKind>> = {
  kill: { what: "SIGKILL of the leader", ...none, costMs: 1500 },
  "kill-follower": { what: "SIGKILL of a follower", ...unnoticed, costMs: 1000 },
  "kill-two": { what: "SIGKILL of the leader and of a follower", ...none, costMs: 2000 },
  "kill-half-open": {
    what: "SIGKILL of the leader while its end of the connection never reaches the server",
    ...none,
    costMs: 3500,
  },
  term: { what: "SIGTERM of the leader", ...none, costMs: 1000 },
  "step-down": { what: "the leader is told to step down", ...none, costMs: 600 },
  freeze: {
    what: "SIGSTOP of the leader until another has taken over",
    ...none,
    costMs: 3000,
    stale: true,
  },
  "freeze-short": {
    what: "SIGSTOP of the leader, shorter than its span",
    ...sameTerm,
    costMs: 700,
  },
  "freeze-and-cut": {
    what: "SIGSTOP of the leader, and its connection is cut meanwhile",
    ...none,
    costMs: 2000,
    stale: true,
  },
  "freeze-all": {
    what: "SIGSTOP of all nodes, longer than the lease",
    ...none,
    costMs: 4000,
  },
  block: {
    what: "the leader's event loop is blocked past its lease",
    ...none,
    costMs: 3500,
  },
  "block-and-cut": {
    what: "the leader's event loop is blocked for less than 250 ms, and its connection is cut meanwhile",
    blame: "busy-loop",
    effect: "any",
    costMs: 1000,
  },
  "duplicate-id": {
    what: "a second process under the leader's node id, then SIGKILL of the first",
    ...none,
    costMs: 3000,
  },
  "different-ttls": {
    what: "a node is started anew with twice the lease of the others, and becomes leader; then SIGSTOP",
    ...none,
    costMs: 8000,
  },

  blackhole: {
    what: "nothing gets through to or from the leader, nothing is closed; then all arrives late",
    ...none,
    costMs: 3000,
    stale: true,
  },
  "half-open": {
    what: "nothing gets through to or from the leader, then the connection is reset",
    ...none,
    costMs: 3500,
  },
  "requests-lost": { what: "the leader's requests are dropped", ...none, costMs: 3000 },
  "requests-late": {
    what: "the leader's requests arrive when another leads",
    ...none,
    costMs: 3000,
    stale: true,
  },
  "responses-lost": { what: "responses to the leader are dropped", ...none, costMs: 3000 },
  "ack-lost": {
    what: "the answer to one renewal never comes",
    ...sameTerm,
    costMs: 2000,
  },
  "late-acquire": {
    what: "SIGKILL of the leader; the write that would make another leader arrives late",
    ...none,
    costMs: 5000,
  },
  cut: {
    what: "the leader's connections are closed, new ones refused",
    ...none,
    costMs: 1500,
  },
  flap: { what: "the leader's connections are reset several times", ...none, costMs: 1200 },
  "reset-client-side": {
    what: "only the leader's side of its connection is reset",
    ...none,
    costMs: 1200,
  },
  "reset-server-side": {
    what: "only the server's side of the leader's connection is reset",
    blame: "one-sided",
    effect: "any",
    costMs: 3000,
  },
  "freeze-and-reset-server-side": {
    what: "SIGSTOP of the leader, and the server's side of its connection is reset meanwhile",
    blame: "one-sided",
    effect: "any",
    costMs: 4000,
  },
  slow: {
    what: "the leader's network is slow, below the timeouts",
    ...unnoticed,
    costMs: 2500,
  },
  "too-slow": {
    what: "the leader's network is slower than its span",
    ...none,
    costMs: 4500,
  },
  "all-too-slow": {
    what: "everybody's network is slower than the span",
    ...none,
    costMs: 5500,
  },
  "followers-cut-off": {
    what: "nothing gets through to or from the followers",
    ...unnoticed,
    costMs: 3000,
  },
  "watch-blocked": {
    what: "nobody hears of writes of the lease; reads and writes go on",
    ...unnoticed,
    costMs: 3500,
  },
  "slow-consumer": {
    what: "the leader's connection does not take what it is sent, until its server gives it up",
    ...none,
    costMs: 4500,
  },
  "cable-pulled": {
    what: "the network cable of the leader's machine is pulled, later put back",
    ...none,
    needs: "namespaces",
    costMs: 4000,
  },
  "cable-pulled-and-kill": {
    what: "the network cable of the leader's machine is pulled, and its process killed: nobody is told",
    ...none,
    needs: "namespaces",
    costMs: 4500,
  },
  "packets-out-lost": {
    what: "every packet from the leader's machine is lost",
    ...none,
    needs: "namespaces",
    costMs: 4000,
  },
  "packets-in-lost": {
    what: "every packet to the leader's machine is lost",
    ...none,
    needs: "namespaces",
    costMs: 4000,
  },

  "server-kill": { what: "SIGKILL of a server", ...none, costMs: 2500, clusterMs: 8000 },
  "server-restart": {
    what: "a server is restarted",
    ...none,
    costMs: 2000,
    clusterMs: 5000,
  },
  "server-freeze-short": {
    what: "SIGSTOP of a server, shorter than the span",
    ...none,
    costMs: 1500,
    clusterMs: 4000,
  },
  "server-freeze": {
    what: "SIGSTOP of a server, longer than the lease",
    ...none,
    costMs: 5000,
    clusterMs: 8000,
  },
  "lame-duck": {
    what: "a server goes into lame duck mode, then is restarted",
    ...none,
    costMs: 4000,
    clusterMs: 6000,
  },
  "rolling-restart": {
    what: "all servers are restarted, one after another",
    ...none,
    needs: "cluster",
    costMs: 14_000,
  },
  "quorum-lost": {
    what: "two of three servers are frozen or killed",
    ...none,
    needs: "cluster",
    costMs: 10_000,
  },
  "servers-all-killed": {
    what: "SIGKILL of all servers at once",
    ...none,
    needs: "cluster",
    costMs: 9000,
  },
  "route-split": {
    what: "one server is cut off from the two others, its clients stay",
    ...none,
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
    what: "the servers no longer know the leader's user, and throw it out; later they do",
    ...none,
    costMs: 2500,
  },
  "all-credentials-revoked": {
    what: "the servers no longer know any node's user; later they do",
    ...none,
    costMs: 5000,
  },
  "disk-full": {
    what: "not a byte is left on a server's disk, then the server is restarted with room on it",
    ...none,
    needs: "disks",
    costMs: 5500,
    clusterMs: 9000,
  },
  "jetstream-off": {
    what: "a server goes on without JetStream, then with it again",
    ...none,
    costMs: 5000,
    clusterMs: 8000,
  },

  "key-deleted": { what: "an operator deletes the key", ...operator, costMs: 3500 },
  "key-purged": { what: "an operator purges the stream", ...operator, costMs: 3500 },
  "bucket-deleted": { what: "an operator deletes the bucket", ...operator, costMs: 3500 },
  "bucket-recreated": {
    what: "an operator deletes the bucket and makes it anew",
    ...operator,
    costMs: 3500,
  },
  garbage: { what: "noise is written over the lease", ...none, costMs: 3500 },
  "huge-record": { what: "900 kB are written over the lease", ...none, costMs: 3500 },
  "foreign-record": {
    what: "the lease is overwritten with a record of an unknown node",
    ...none,
    costMs: 3500,
  },
  "old-events": {
    what: "old notices of the lease are repeated, twice and out of order",
    ...unnoticed,
    costMs: 1200,
  },
  "forged-advisory": {
    what: "a user of the account announces the leader's death",
    ...unnoticed,
    needs: "presence",
    costMs: 1200,
  },
  "forged-status": {
    what: "a user of the account answers status requests as if it led",
    ...unnoticed,
    costMs: 1200,
  },
  stranger: {
    what: "a user without our permissions tries all of it",
    ...unnoticed,
    costMs: 1500,
  },
  "presence-deleted": {
    what: "the leader's presence is deleted under it",
    ...sameTerm,
    needs: "presence",
    costMs: 1500,
  },

  "clock-back": {
    what: "the leader's clocks are set back",
    blame: "clock",
    effect: "any",
    needs: "clocks",
    costMs: 4000,
    stale: true,
  },
  "clock-forward": {
    what: "the leader's clocks are set forward",
    ...none,
    needs: "clocks",
    costMs: 2500,
  },
  "freeze-and-clock-back": {
    what: "SIGSTOP of the leader, and its clocks are set back meanwhile",
    blame: "clock",
    effect: "any",
    needs: "clocks",
    costMs: 4500,
    stale: true,
  },
  "clock-rate": {
    what: "a node is started anew with clocks 0.5 % too fast or too slow",
    ...none,
    needs: "clocks",
    costMs: 3000,
  },
  "clock-rate-far": {
    what: "a node is started anew with clocks 1.25 times as fast or slow, and the leader cut off",
    blame: "clock-rate",
    effect: "any",
    needs: "clocks",
    costMs: 7000,
    stale: true,
  },
  "wall-clock": {
    what: "a node is started anew and becomes leader, and its wall clock alone is set, back or forward",
    ...none,
    needs: "clocks",
    costMs: 7000,
  },
};
