/** The names of streams and subjects, all made of the name of the stream of ticks. */
import { partitionOf } from "nats-leader/group";

/** All names of one bridge, made of the name of its stream. */
export interface Names {
  readonly group: string;
  readonly ticks: string;
  readonly dead: string;
  /** Only with the sink "ledger"; dead letters are in this stream, then. */
  readonly ledger: string;
  /** `ticks.<partition>.<symbol>` */
  readonly subject: string;
  /** `ticks_dead.<partition>.<sequence in the stream of ticks>` */
  readonly deadSubject: string;
  /** `ticks_ledger.tick.<partition>.<symbol>.<n>`, and `ticks_ledger.position.<partition>` */
  readonly ledgerSubject: string;
  /** Prefix of the fences: each partition has one of its own. */
  readonly fenceSubject: string;
}

export function namesOf(stream: string): Names {
  const subject = stream.toLowerCase();
  return {
    group: `${subject}-bridge`,
    ticks: stream,
    dead: `${stream}_DEAD`,
    ledger: `${stream}_LEDGER`,
    subject,
    deadSubject: `${subject}_dead`,
    ledgerSubject: `${subject}_ledger`,
    fenceSubject: `${subject}_fence`,
  };
}

/**
 * The subject that a tick is published to. `partitionOf` computes what the subject mapping `{{partition(6,1)}}` of a server computes, so
 * that a producer without this function can publish to `ticks.<symbol>`, and the server does the rest.
 */
export function subjectOf(names: Names, symbol: string, partitions: number): string {
  return `${names.subject}.${partitionOf(symbol, partitions)}.${symbol}`;
}
