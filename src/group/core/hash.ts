/** Hashes that every member computes alike. Not cryptographic. */

/** FNV-1a over the UTF-16 units, mixed so that similar texts differ in all bits. */
export function hash32(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Of a list of resources; the order does not matter. */
export function listHash(names: Iterable<string>): string {
  const list = new ListHash();
  for (const name of names) list.add(name);
  return list.text;
}

/** `listHash()` of a list that changes. */
export class ListHash {
  #one = 0;
  #other = 0;
  #count = 0;

  get text(): string {
    return `${this.#count}-${this.#one.toString(36)}-${this.#other.toString(36)}`;
  }

  /** @param name - Is not in the list. */
  add(name: string): void {
    this.#change(name, 1);
  }

  /** @param name - Is in the list. */
  delete(name: string): void {
    this.#change(name, -1);
  }

  #change(name: string, by: 1 | -1): void {
    this.#one = (this.#one + by * hash32(name)) >>> 0;
    this.#other = (this.#other + by * hash32(name, 0x5bd1e995)) >>> 0;
    this.#count += by;
  }
}

/**
 * How many of these members come before this one in the rendezvous order of the subject: every member computes the same order, and it
 * differs from subject to subject.
 */
export function rendezvousRank(subject: string, memberId: string, members: Iterable<string>): number {
  const own = hash32(`${subject}\n${memberId}`);
  let rank = 0;
  for (const other of members) {
    if (other === memberId) continue;
    const score = hash32(`${subject}\n${other}`);
    if (score > own || (score === own && other < memberId)) rank += 1;
  }
  return rank;
}
