/** The virtual IP of the configuration, for `ManagerOptions.vip`. */
import type { VipConfig } from "../config/file/types.ts";
import { messageOf } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import type { TermResource } from "../manager/term-resource.ts";
import { parseCidr } from "../vip/address.ts";
import { VirtualIp } from "../vip/virtual-ip.ts";

export function makeVip(config: VipConfig, logger: Logger): TermResource {
  const { address, netmask } = config;
  return new VirtualIp({ address: `${address}/${netmask}`, interface: config.interface, logger });
}

/** For `LoadOptions.unusableAddress`. */
export function unusableAddress(address: string): string | null {
  try {
    parseCidr(address);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}
