/** The virtual IP of the configuration, as a daemon drives it. */
import { ClusterError } from "../errors.ts";
import type { VipConfig } from "../file-config/types.ts";
import type { Logger } from "../logger.ts";
import type { TermResource } from "../manager/term-resource.ts";

export function makeVip(config: VipConfig, _logger: Logger): TermResource {
  throw new ClusterError("INVALID_CONFIG", `vip.address "${config.address}": not available in this build`);
}
