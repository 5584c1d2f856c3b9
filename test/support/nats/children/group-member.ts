/** A process with one member of a group, for tests that kill or freeze it. Argument: the options as JSON. */
import { listen, say } from "../../processes/child-io.ts";
import { type MemberOptions, startMember } from "../group-member.ts";

export interface ChildMemberOptions extends MemberOptions {
  readonly servers: readonly string[];
}

const { servers, ...options } = JSON.parse(process.argv[2] ?? "") as ChildMemberOptions;
const member = await startMember(servers, options, (output) => {
  if (output.type === "own") say({ type: "own", resource: output.resource, epoch: output.epoch });
  else if (output.type === "session-ended" || output.type === "suspended") say({ type: output.type });
});
listen(() => say({ type: "held", held: member.held() }));
