/**
 * Rendezvous hashing: for every key, the members in an order that all of them compute alike, without agreement. Each member is first for
 * about an equal part of the keys. A member that leaves changes the first member of its own keys only.
 *
 * A member's score for a key is a hash of 53 bits of the UTF-16 code units of the key, a separator and the member's id; the largest
 * score is first. The hash: two lanes of 32 bits, each `lane = (lane ^ unit) * prime` per unit, with different primes and offsets;
 * then the finalizer of MurmurHash3 over both, because multiplication alone carries no bit downwards. No defence against ids that are
 * chosen to collide: a rank decides who acts first, never who may.
 */

const OFFSET_LOW = 0x811c9dc5;
const OFFSET_HIGH = 0x9e3779b9;
const PRIME_LOW = 0x01000193;
const PRIME_HIGH = 0x85ebca6b;
/** Between key and id. */
const SEPARATOR = 0;

/**
 * The position of a member in the order for this key: the number of `members` that come before it, 0 for the first. The order of
 * `members` does not matter; `member` itself may be among them or not.
 */
export function rendezvousRank(key: string, members: Iterable<string>, member: string): number {
  const start = hashUnits({ low: OFFSET_LOW, high: OFFSET_HIGH }, key);
  const scoreOf = (id: string): number => scoreFrom(start, id);
  const own = scoreOf(member);
  let rank = 0;
  for (const other of members) {
    if (other === member) continue;
    const score = scoreOf(other);
    if (score > own || (score === own && other < member)) rank += 1;
  }
  return rank;
}

interface Lanes {
  readonly low: number;
  readonly high: number;
}

function hashUnits(start: Lanes, text: string): Lanes {
  let { low, high } = start;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, PRIME_LOW);
    high = Math.imul(high ^ unit, PRIME_HIGH);
  }
  low = Math.imul(low ^ SEPARATOR, PRIME_LOW);
  high = Math.imul(high ^ SEPARATOR, PRIME_HIGH);
  return { low, high };
}

/** A whole number below 2^53. */
function scoreFrom(start: Lanes, id: string): number {
  const { low, high } = hashUnits(start, id);
  const mixedLow = mix(low ^ mix(high));
  const mixedHigh = mix(high ^ mixedLow);
  return (mixedHigh >>> 11) * 2 ** 32 + (mixedLow >>> 0);
}

/** The finalizer of MurmurHash3 (32 bits): every bit of the input changes every bit of the result in half of the cases. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
