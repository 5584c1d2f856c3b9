/**
 * Faults that aim at one rule of the protocol each: a few kinds that belong together, close to one another, in a small group. Random faults
 * of all kinds rarely meet.
 */

import type { RequestKind } from "../../src/testing/simulation/fakes/group-network.ts";
import type { GroupFaultName } from "./faults/names.ts";

/** A fault of a recipe, and the kinds of requests one of which it hits, if it hits one. */
export type Ingredient = readonly [GroupFaultName, ...RequestKind[]];

export interface Recipe {
  /** The first two members are processes with one member id. */
  readonly twins?: true;
  readonly ingredients: readonly Ingredient[];
}

/** What ends a session or a process, and lets it begin again. */
const ends: readonly Ingredient[] = [
  ["disconnected"],
  ["cut while frozen"],
  ["vanished"],
  ["kill -9"],
  ["forged end of a session"],
];

/** What moves resources. */
const moves: readonly Ingredient[] = [
  ["weight changes"],
  ["member drains"],
  ["list differs"],
  ["move wished"],
  ["resource refused"],
];

export const recipes: Readonly<Record<string, Recipe>> = {
  "two processes, one id": {
    twins: true,
    ingredients: [
      ...ends,
      ["stop"],
      ["late write", "session"],
      ["one kind of request lost", "session"],
      ["one kind of answer lost", "session"],
    ],
  },
  "late and lost begins": {
    ingredients: [
      ...ends,
      ["late write", "session"],
      ["late write", "session"],
      ["one kind of answer lost", "session"],
      ["latency near the timeout"],
    ],
  },
  "late and lost claims": {
    ingredients: [
      ...moves,
      ["ended under way", "claim"],
      ["late write", "claim"],
      ["one kind of answer lost", "claim"],
      ["trouble under way", "claim"],
      ["latency near the timeout"],
      ["stale reads"],
      ["forged end of a session"],
    ],
  },
  "late and lost releases": {
    ingredients: [
      ...moves,
      ["late write", "release"],
      ["one kind of answer lost", "release"],
      ["one kind of request lost", "release"],
      ["trouble under way", "release"],
      ["ended under way", "release"],
      ["list differs"],
      ["drains hang"],
    ],
  },
  "late and lost fences": {
    ingredients: [
      ...ends,
      ["host lost"],
      ["late write", "session-end"],
      ["one kind of request lost", "session-end"],
      ["one kind of answer lost", "session-end"],
      ["watch lost"],
      ["stale reads"],
    ],
  },
  "late and lost renewals": {
    ingredients: [
      ["one kind of request lost", "session"],
      ["one kind of answer lost", "session"],
      ["late write", "session"],
      ["latency near the timeout"],
      ["pause"],
      ["suspend"],
      ["watch lost"],
      ["disconnected"],
    ],
  },
  "messages lost": {
    ingredients: [
      ["watch lost"],
      ["watch unreliable"],
      ["old message"],
      ["stale reads"],
      ["kill -9"],
      ["stop"],
      ...moves,
    ],
  },
  "coordinators and their plans": {
    ingredients: [
      ["coordinator stands still"],
      ["coordinator stands still"],
      ["late write", "plan"],
      ["one kind of answer lost", "plan"],
      ["old plan"],
      ["plan lost"],
      ["plan overwritten"],
      ["watch lost"],
      ["weight changes"],
      ["restart"],
      ["move wished"],
    ],
  },
  "connections end": {
    ingredients: [
      ["disconnected"],
      ["reset by the server"],
      ["backlog"],
      ["cut while frozen"],
      ["server restart"],
      ["late write", "session"],
      ["late write", "claim"],
      ["ended under way", "claim"],
      ["one kind of answer lost", "claim"],
    ],
  },
  "history lost": {
    ingredients: [
      ["history lost"],
      ["bucket deleted"],
      ["late write", "claim"],
      ["late write", "session"],
      ["kill -9"],
      ["watch lost"],
      ["disconnected"],
    ],
  },
};
