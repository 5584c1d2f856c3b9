/**
 * How many resources each member should have. Pure, and exact: only integers are compared and divided.
 *
 * One level L holds for all members: a share is L x weight, but at most the member's cap and at least what it keeps. L is the level
 * at which the shares add up to the number of resources. A member's count may be the floor or the ceiling of its share.
 */

/** What limits the share of one member. */
export interface Claimant {
  /** 0: it keeps what it has, and takes nothing. */
  readonly weight: number;
  /** What it has and does not give up. */
  readonly kept: number;
  /** The most that it may have; a cap below `kept` counts as `kept`. */
  readonly cap: number;
}

/** The band of counts around the share of one member. */
export interface Share {
  readonly floor: number;
  /** `floor`, or `floor + 1` if the share is a fraction. */
  readonly ceiling: number;
}

/** The level at which a member's share starts to follow the level, or reaches its cap: a fraction. */
interface BreakPoint {
  readonly claimant: number;
  readonly count: number;
  readonly weight: number;
  readonly follows: boolean;
}

/** The shares of `total` resources, of which `kept` ones are included; if the caps are too small, the caps. */
export function sharesOf(total: number, claimants: readonly Claimant[]): readonly Share[] {
  const following = new Uint8Array(claimants.length);
  /** Share of each member that does not follow the level: what it keeps, or its cap. */
  const constant = claimants.map(({ kept }) => kept);
  let sumOfConstant = constant.reduce((sum, count) => sum + count, 0);
  let sumOfWeights = 0;
  for (const { claimant, count, weight, follows } of breakPoints(total, claimants)) {
    // The sum of the shares at this level is at least the total: the level is in the stretch before it.
    if (sumOfConstant * weight + sumOfWeights * count >= total * weight) break;
    following[claimant] = follows ? 1 : 0;
    constant[claimant] = count;
    sumOfConstant += follows ? -count : count;
    sumOfWeights += follows ? weight : -weight;
  }
  const rest = total - sumOfConstant;
  return claimants.map(({ weight }, claimant) => {
    const count = constant[claimant] as number;
    if (following[claimant] !== 1) return { floor: count, ceiling: count };
    const remainder = (weight * rest) % sumOfWeights;
    const floor = (weight * rest - remainder) / sumOfWeights;
    return { floor, ceiling: remainder === 0 ? floor : floor + 1 };
  });
}

/** Ordered by level. A cap above the total is no limit. */
function breakPoints(total: number, claimants: readonly Claimant[]): readonly BreakPoint[] {
  const points: BreakPoint[] = [];
  for (const [claimant, { weight, kept, cap }] of claimants.entries()) {
    if (weight === 0 || cap <= kept) continue;
    points.push({ claimant, count: kept, weight, follows: true });
    if (cap < total) points.push({ claimant, count: cap, weight, follows: false });
  }
  return points.sort((a, b) => a.count * b.weight - b.count * a.weight);
}
