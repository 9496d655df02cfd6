// Jain's index, from replays written by hand.

import { expect, test } from "vitest";
import { jainOf } from "../../../scheduler/simulator/fairness.ts";
import type { Replay } from "../../../scheduler/simulator/replay.ts";

/** Each request: client, prompt, and when its tokens came. The makespan is 200 ms. */
const replay = (...requests: [client: string | undefined, prompt: number, ms: number[]][]) =>
  ({
    makespanMs: 200,
    requests: requests.map(([client, numPromptTokens, tokenMs]) => ({
      request: { arrivalMs: 0, client, numPromptTokens, outputTokens: tokenMs.length },
      tokenMs,
    })),
  }) as unknown as Replay;

test("one client, named or not, has all there is", () => {
  expect(jainOf(replay([undefined, 5, [10, 150]], [undefined, 9, [190]]))).toBe(1);
});

test("clients served in proportion to what they ask are treated alike", () => {
  expect(jainOf(replay(["a", 6, [1, 150]], ["b", 6, [90, 190]]))).toBe(1);
});

test("a client that gets all of two has one half", () => {
  expect(jainOf(replay(["a", 6, [1, 2]], ["b", 6, [150, 190]]))).toBe(0.5);
});

test("a client that gets a half of it", () => {
  // x = 1 and (2 + 2) / (2 + 6), a sampled token counting two.
  const index = jainOf(replay(["a", 2, [1]], ["b", 2, [50, 150, 160]]));
  expect(index).toBeCloseTo(1.5 ** 2 / (2 * 1.25), 12);
});
