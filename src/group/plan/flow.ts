/**
 * Maximum flow of minimum cost, by the primal-dual method: shortest distances by cost from the source, then blocking flows on the arcs
 * of reduced cost 0, until the sink cannot be reached. The planner's costs take few values, so there are few phases.
 *
 * Costs are integers and may be negative; the network must have no cycle of negative cost. The result depends on nothing but the order
 * in which nodes and arcs were added.
 *
 * Arcs into the sink may be widened between two calls of `run`. The result is then a flow of minimum cost in the network in which each
 * capacity that was added later costs more than all paths through capacity that was there before. The planner puts one aim before
 * another in this way, without numbers that no longer fit into a double.
 */

/** Number of an arc; `arc ^ 1` is its reverse, whose room is the flow. */
export type Arc = number;

const UNREACHED = Number.POSITIVE_INFINITY;
const NO_ARC: Arc = -1;

export class FlowNetwork {
  /** The first arc of each node, and the next one of the same node for each arc. */
  readonly #first: Arc[] = [];
  readonly #next: Arc[] = [];
  readonly #to: number[] = [];
  readonly #room: number[] = [];
  readonly #cost: number[] = [];
  readonly source: number = this.addNode();
  readonly sink: number = this.addNode();
  /** Per node, of the current phase: distance from the source by cost. */
  #distance: Float64Array = new Float64Array(0);
  /** Per node, of the current blocking flow: number of arcs from the source, and the next arc to try. */
  #depth: Int32Array = new Int32Array(0);
  #untried: Int32Array = new Int32Array(0);

  addNode(): number {
    return this.#first.push(NO_ARC) - 1;
  }

  addArc(from: number, to: number, capacity: number, cost: number): Arc {
    const arc = this.#addHalf(from, to, capacity, cost);
    this.#addHalf(to, from, 0, -cost);
    return arc;
  }

  /** Widens an arc into the sink. */
  widen(arc: Arc, capacity: number): void {
    this.#room[arc] = (this.#room[arc] as number) + capacity;
  }

  flowOn(arc: Arc): number {
    return this.#room[arc ^ 1] as number;
  }

  /** Adds as much flow as possible, but at most `limit`, at minimum cost. Returns how much. */
  run(limit: number): number {
    let added = 0;
    while (added < limit && this.#measureDistances()) {
      while (added < limit && this.#measureDepths()) {
        this.#untried = Int32Array.from(this.#first);
        added += this.#push(this.source, limit - added);
      }
    }
    return added;
  }

  /** Whether further flow can reach each node, if the arcs into the sink were wider. Valid until the network changes. */
  reach(): (node: number) => boolean {
    this.#measureDistances();
    const distance = this.#distance;
    return (node) => distance[node] !== UNREACHED;
  }

  #addHalf(from: number, to: number, capacity: number, cost: number): Arc {
    const arc = this.#to.push(to) - 1;
    this.#room.push(capacity);
    this.#cost.push(cost);
    this.#next.push(this.#first[from] as Arc);
    this.#first[from] = arc;
    return arc;
  }

  /** Bellman-Ford with a queue: residual arcs have negative costs. Returns whether the sink is reached. */
  #measureDistances(): boolean {
    const [next, to, room, cost, first] = [this.#next, this.#to, this.#room, this.#cost, this.#first];
    const distance = new Float64Array(first.length).fill(UNREACHED);
    const waits = new Uint8Array(first.length);
    const queue: number[] = [this.source];
    distance[this.source] = 0;
    for (let head = 0; head < queue.length; head += 1) {
      const node = queue[head] as number;
      waits[node] = 0;
      const here = distance[node] as number;
      for (let arc = first[node] as Arc; arc !== NO_ARC; arc = next[arc] as Arc) {
        if (room[arc] === 0) continue;
        const neighbour = to[arc] as number;
        const there = here + (cost[arc] as number);
        if (there >= (distance[neighbour] as number)) continue;
        distance[neighbour] = there;
        // No shortest path to another node passes the sink.
        if (waits[neighbour] === 1 || neighbour === this.sink) continue;
        waits[neighbour] = 1;
        queue.push(neighbour);
      }
    }
    this.#distance = distance;
    return distance[this.sink] !== UNREACHED;
  }

  /** Whether the arc has room and lies on a shortest path. */
  #isShortest(from: number, arc: Arc): boolean {
    const distance = this.#distance;
    const there = distance[this.#to[arc] as number] as number;
    return (
      (this.#room[arc] as number) > 0 && there === (distance[from] as number) + (this.#cost[arc] as number)
    );
  }

  /** Breadth-first over the arcs of reduced cost 0: they may form cycles. Returns whether the sink is reached. */
  #measureDepths(): boolean {
    const depth = new Int32Array(this.#first.length).fill(-1);
    const queue: number[] = [this.source];
    depth[this.source] = 0;
    for (let head = 0; head < queue.length && depth[this.sink] === -1; head += 1) {
      const node = queue[head] as number;
      for (let arc = this.#first[node] as Arc; arc !== NO_ARC; arc = this.#next[arc] as Arc) {
        const neighbour = this.#to[arc] as number;
        if (depth[neighbour] !== -1 || !this.#isShortest(node, arc)) continue;
        depth[neighbour] = (depth[node] as number) + 1;
        queue.push(neighbour);
      }
    }
    this.#depth = depth;
    return depth[this.sink] !== -1;
  }

  /** A blocking flow from this node on. Returns how much it carries. */
  #push(node: number, limit: number): number {
    if (node === this.sink) return limit;
    let pushed = 0;
    for (let arc = this.#untried[node] as Arc; arc !== NO_ARC; arc = this.#next[arc] as Arc) {
      this.#untried[node] = arc;
      const neighbour = this.#to[arc] as number;
      if (this.#depth[neighbour] !== (this.#depth[node] as number) + 1 || !this.#isShortest(node, arc))
        continue;
      const part = this.#push(neighbour, Math.min(limit - pushed, this.#room[arc] as number));
      this.#room[arc] = (this.#room[arc] as number) - part;
      this.#room[arc ^ 1] = (this.#room[arc ^ 1] as number) + part;
      pushed += part;
      if (pushed === limit) return pushed;
    }
    this.#untried[node] = NO_ARC;
    return pushed;
  }
}
