/** Runs the doctor in this process: on a busy machine a command takes seconds to start. */

import { Doctor, type DoctorOptions, type Examination } from "../../../src/doctor/doctor.ts";
import type { AccountOptions } from "../../../src/doctor/sources/account-source.ts";

/** Long enough for a busy machine. */
const PATIENCE_MS = 10_000;

export async function examined(options: Partial<DoctorOptions>): Promise<Examination> {
  const examiner = new Doctor({
    clusterId: null,
    expectedServers: null,
    expectedNodes: null,
    leaseTtlMs: 10_000,
    timeoutMs: PATIENCE_MS,
    monitors: [],
    tls: {},
    system: null,
    account: null,
    ...options,
  });
  try {
    return await examiner.examine();
  } finally {
    await examiner.close();
  }
}

/** Options for an examination through a normal account. */
export function accountOf(
  clusterId: string,
  login: Omit<AccountOptions["nodeOptions"], "clusterId" | "nodeId">,
  role: AccountOptions["role"] = null,
): Pick<DoctorOptions, "clusterId" | "account"> {
  const nodeOptions = { clusterId, nodeId: "doctor", ...login };
  return {
    clusterId,
    account: {
      nodeOptions,
      hasCluster: true,
      nodeId: null,
      role,
      groupIds: [],
      groupRole: null,
      timeoutMs: PATIENCE_MS,
    },
  };
}

/** `severity code` of each finding, most severe first. */
export function found({ findings }: Pick<Examination, "findings">): string[] {
  return findings.map(({ severity, code }) => `${severity} ${code}`);
}
