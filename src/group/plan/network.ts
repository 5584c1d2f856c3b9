/**
 * The assignment of classes to members, as a flow of minimum cost. Its paths:
 *
 *   source -> class -> its owner -> sink                       stays
 *   source -> class -> hub of its zone -> member of the zone -> sink
 *   source -> class -> common hub -> any member -> sink
 *
 * The hubs keep the number of arcs linear. A class that members refuse has an arc to each of the others instead.
 *
 * A resource in its zone is worth more than all stays together, and balance comes before both: the arcs into the sink are widened in
 * steps. (1) Every member gets the floor of its share, as far as possible. (2) The ceilings. (3) If refusals leave resources over: one
 * more for each member below its cap, again and again. What is left over then is unplaced.
 */
import type { ResourceClass } from "./classes.ts";
import { type Arc, FlowNetwork } from "./flow.ts";
import { NONE, type Problem } from "./problem.ts";
import type { Share } from "./shares.ts";

/** How many resources one member may be given, beside those that it keeps. */
export interface Intake extends Share {
  /** Its cap. A member with 0 is given nothing. */
  readonly most: number;
}

/** Some resources of a class, or of those that have come to a hub, go to this hub or to this member. */
export interface Route {
  readonly toHub: boolean;
  readonly to: number;
  readonly count: number;
}

export interface Routes {
  /** Per class: those that stay first, then those for the hub of the zone, then those for the common hub. */
  readonly ofClasses: readonly (readonly Route[])[];
  /** Per hub: to its members, ordered by id. */
  readonly ofHubs: readonly (readonly Route[])[];
}

/** An arc that becomes a route. */
interface Way {
  readonly toHub: boolean;
  readonly to: number;
  readonly arc: Arc;
}

/** Where the resources of the classes go. `intakes`: per member. */
export function routesOf(
  problem: Problem,
  classes: readonly ResourceClass[],
  intakes: readonly Intake[],
): Routes {
  const network = new FlowNetwork();
  const total = classes.reduce((sum, { resources }) => sum + resources.length, 0);
  const builder = new Builder(network, problem, total);
  for (const [member, { most }] of intakes.entries()) if (most > 0) builder.addMember(member);
  const waysOfClasses = classes.map((each) => builder.addClass(each));
  fill(network, builder.entrances, intakes, total);
  const routes = (ways: readonly Way[]): readonly Route[] =>
    ways.map(({ toHub, to, arc }) => ({ toHub, to, count: network.flowOn(arc) }));
  return { ofClasses: waysOfClasses.map(routes), ofHubs: builder.waysOfHubs.map(routes) };
}

/** The arc into the sink of a member. */
interface Entrance {
  readonly member: number;
  readonly node: number;
  readonly arc: Arc;
}

class Builder {
  readonly #network: FlowNetwork;
  readonly #total: number;
  readonly #zoneOf: readonly number[];
  /** The hub of each zone, and at the end the common hub. */
  readonly #hubs: readonly number[];
  readonly #commonHub: number;
  readonly #nodes: (number | undefined)[] = [];
  /** Costs are the negative values of a placement. */
  readonly #stays: number = -1;
  readonly #inZone: number;
  readonly entrances: Entrance[] = [];
  readonly waysOfHubs: readonly Way[][];

  constructor(network: FlowNetwork, { members, resources, zones }: Problem, total: number) {
    this.#network = network;
    this.#total = total;
    this.#inZone = -(resources.length + 1);
    this.#zoneOf = members.map(({ zone }) => (zone === undefined ? NONE : (zones.get(zone) as number)));
    this.#commonHub = zones.size;
    this.#hubs = Array.from({ length: zones.size + 1 }, () => network.addNode());
    this.waysOfHubs = this.#hubs.map(() => []);
  }

  addMember(member: number): void {
    const node = this.#network.addNode();
    this.#nodes[member] = node;
    this.entrances.push({ member, node, arc: this.#network.addArc(node, this.#network.sink, 0, 0) });
    const zone = this.#zoneOf[member] as number;
    for (const hub of zone === NONE ? [this.#commonHub] : [zone, this.#commonHub]) {
      const arc = this.#network.addArc(this.#hubs[hub] as number, node, this.#total, 0);
      this.waysOfHubs[hub]?.push({ toHub: false, to: member, arc });
    }
  }

  /** Adds a class with its ways, in the order of `Routes`. */
  addClass({ zone, owner, refusedBy, resources }: ResourceClass): readonly Way[] {
    const node = this.#network.addNode();
    this.#network.addArc(this.#network.source, node, resources.length, 0);
    const ways: Way[] = [];
    const toMember = (member: number, cost: number): void => {
      const to = this.#nodes[member];
      if (to === undefined) return;
      const inZone = zone !== NONE && this.#zoneOf[member] === zone ? this.#inZone : 0;
      const arc = this.#network.addArc(node, to, resources.length, cost + inZone);
      ways.push({ toHub: false, to: member, arc });
    };
    const toHub = (hub: number, cost: number): void => {
      const arc = this.#network.addArc(node, this.#hubs[hub] as number, resources.length, cost);
      ways.push({ toHub: true, to: hub, arc });
    };
    if (owner !== NONE) toMember(owner, this.#stays);
    if (refusedBy.length === 0) {
      if (zone !== NONE) toHub(zone, this.#inZone);
      toHub(this.#commonHub, 0);
      return ways;
    }
    const refusing = new Set(refusedBy);
    for (const member of this.#nodes.keys())
      if (member !== owner && !refusing.has(member)) toMember(member, 0);
    return ways;
  }
}

/** Step by step, as the head of this file says. */
function fill(
  network: FlowNetwork,
  entrances: readonly Entrance[],
  intakes: readonly Intake[],
  total: number,
): void {
  let [left, room] = [total, 0];
  const entered = entrances.map(() => 0);
  const widen = (index: number, by: number): void => {
    const { arc } = entrances[index] as Entrance;
    if (by === 0) return;
    network.widen(arc, by);
    entered[index] = (entered[index] as number) + by;
    room += by;
  };
  const run = (): void => {
    const added = network.run(Math.min(left, room));
    left -= added;
    room -= added;
  };
  for (const [index, { member }] of entrances.entries()) widen(index, (intakes[member] as Intake).floor);
  run();
  for (const [index, { member }] of entrances.entries()) {
    const { floor, ceiling } = intakes[member] as Intake;
    widen(index, ceiling - floor);
  }
  run();
  for (let wider = true; wider && left > 0; ) {
    const reached = network.reach();
    wider = false;
    for (const [index, { member, node }] of entrances.entries()) {
      if ((entered[index] as number) >= (intakes[member] as Intake).most || !reached(node)) continue;
      widen(index, 1);
      wider = true;
    }
    if (wider) run();
  }
}
