import { describe, expect, test } from "vitest";
import { Answer } from "../../src/testing/simulation/fakes/answer.ts";

describe("an answer", () => {
  test("calls its waiters synchronously, in order and once", () => {
    const answer = new Answer<number>();
    const heard: string[] = [];
    answer.then((value) => heard.push(`first ${value}`));
    answer.then((value) => heard.push(`second ${value}`));
    expect(heard).toEqual([]);
    answer.settle(1);
    answer.settle(2);
    expect(heard).toEqual(["first 1", "second 1"]);
    answer.then((value) => heard.push(`late ${value}`));
    expect(heard).toEqual(["first 1", "second 1", "late 1"]);
  });

  test("passes on the results of its waiters, immediate or deferred", () => {
    const [answer, later] = [new Answer<number>(), new Answer<string>()];
    const heard: string[] = [];
    answer.then((value) => `${value + 1}`).then((text) => heard.push(text));
    answer.then(() => later).then((text) => heard.push(text));
    answer.then().then((value) => heard.push(`still ${value}`));
    answer.settle(1);
    expect(heard).toEqual(["2", "still 1"]);
    later.settle("at last");
    expect(heard).toEqual(["2", "still 1", "at last"]);
  });

  test("can be awaited like a promise", async () => {
    const answer = new Answer<string>();
    answer.settle("yes");
    expect(await answer).toBe("yes");
  });
});
