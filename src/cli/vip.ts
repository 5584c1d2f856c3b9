/** The virtual IP of the configuration, as a daemon drives it. */
import type { VipConfig } from "../file-config/types.ts";
import type { Logger } from "../logger.ts";
import { VirtualIp } from "../vip.ts";

/** Ask it to `check()` before the daemon competes: a host that can't have the address had better say so at once. */
export function makeVip(config: VipConfig, logger: Logger): VirtualIp {
  return new VirtualIp({
    address: `${config.address}/${config.netmask}`,
    interface: config.interface,
    logger,
  });
}
