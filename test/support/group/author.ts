import type { Authorship } from "../../../src/group/core/types.ts";

/** What each record of a group says of the member that has written it. */
export const author = (memberId: string): Authorship => ({
  memberId,
  incarnation: "i",
  nonce: 1,
  generation: "g",
  above: 0,
});
