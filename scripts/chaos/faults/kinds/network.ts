import type { FaultName } from "../names.ts";
import { excused, type FaultKind, sameTerm, termMayEnd, unnoticed } from "./kind.ts";

export const NETWORK_KINDS: Readonly<Record<FaultName<"network">, FaultKind>> = {
  blackhole: {
    what: "nothing gets through to or from the leader, nothing is closed; later everything arrives",
    ...termMayEnd,
    costMs: 3000,
    stale: true,
  },
  "half-open": {
    what: "nothing gets through to or from the leader, then the connection is reset",
    ...termMayEnd,
    costMs: 3500,
  },
  "requests-lost": { what: "the leader's requests are dropped", ...termMayEnd, costMs: 3000 },
  "requests-late": {
    what: "the leader's requests arrive when another node leads",
    ...termMayEnd,
    costMs: 3000,
    stale: true,
  },
  "responses-lost": { what: "responses to the leader are dropped", ...termMayEnd, costMs: 3000 },
  "ack-lost": {
    what: "the ack of one renewal is lost or late",
    ...sameTerm,
    costMs: 2000,
  },
  "late-acquire": {
    what: "SIGKILL of the leader; the acquiring write of another node arrives late",
    ...termMayEnd,
    costMs: 5000,
  },
  cut: {
    what: "the leader's connections are closed, new ones are refused",
    ...termMayEnd,
    costMs: 1500,
  },
  flap: { what: "the leader's connections are reset several times", ...termMayEnd, costMs: 1200 },
  "reset-client-side": {
    what: "only the leader's side of its connection is reset",
    ...termMayEnd,
    costMs: 1200,
  },
  "reset-server-side": {
    what: "only the server's side of the leader's connection is reset",
    ...excused("one-sided-reset"),
    costMs: 3000,
  },
  "freeze-and-reset-server-side": {
    what: "SIGSTOP of the leader; the server's side of its connection is reset while it is stopped",
    ...excused("one-sided-reset"),
    costMs: 4000,
  },
  slow: {
    what: "the leader's network is slow, but faster than the timeouts",
    ...unnoticed,
    costMs: 2500,
  },
  "too-slow": {
    what: "the leader's network is slower than its span",
    ...termMayEnd,
    costMs: 4500,
  },
  "all-too-slow": {
    what: "the network of every node is slower than the span",
    ...termMayEnd,
    costMs: 5500,
  },
  "followers-cut-off": {
    what: "nothing gets through to or from the followers",
    ...unnoticed,
    costMs: 3000,
  },
  "watch-blocked": {
    what: "no node receives notices of lease writes; reads and writes go on",
    ...unnoticed,
    costMs: 3500,
  },
  "slow-consumer": {
    what: "the leader's connection reads nothing until its server closes it as a slow consumer, and some time after",
    ...excused("backlog"),
    costMs: 4500,
  },
  "cable-pulled": {
    what: "the network cable of the leader's machine is pulled and plugged in again later",
    ...termMayEnd,
    needs: "namespaces",
    costMs: 4000,
  },
  "cable-pulled-and-kill": {
    what: "the network cable of the leader's machine is pulled and its process killed: the server gets no FIN",
    ...termMayEnd,
    needs: "namespaces",
    costMs: 4500,
  },
  "packets-out-lost": {
    what: "every packet from the leader's machine is lost",
    ...termMayEnd,
    needs: "namespaces",
    costMs: 4000,
  },
  "packets-in-lost": {
    what: "every packet to the leader's machine is lost",
    ...termMayEnd,
    needs: "namespaces",
    costMs: 4000,
  },
  "host-lost": {
    what: "the host of the leader or of a follower vanishes, nothing is closed; later it is back, or boots",
    ...termMayEnd,
    costMs: 4500,
  },
  backlog: {
    what: "a flood that the leader reads late; its server closes the connection as that of a slow consumer",
    ...excused("backlog"),
    costMs: 4000,
  },
  "service-flood": {
    what: "tens of thousands of requests to the leader's micro service",
    ...termMayEnd,
    costMs: 3000,
  },
};
