// Whether drafting pays, on a scripted clock: a plain token takes 10 ms, drafted ones that by the
// speedup of the moment.

import { describe, expect, test } from "vitest";
import { type Random, seededRandom } from "../../../scheduler/random.ts";
import { DraftGuard } from "../../../scheduler/speculation/guard.ts";

const PLAIN_MS = 10;

interface Script {
  /** Of drafted tokens, when so many are committed. */
  readonly speedup: (numTokens: number) => number;
  /** Tokens that a round commits; a plain step commits one. */
  readonly round?: () => number;
  /** Relative: each commit takes up to so much more or less. */
  readonly noise?: number;
  readonly random?: Random;
  readonly plainMs?: (numTokens: number) => number;
}

/** Commits tokens as the guard asks, and remembers which were drafted. */
class Serving {
  readonly guard = new DraftGuard();
  /** One entry per token. */
  readonly drafted: boolean[] = [];
  nowMs = 1000;
  readonly #script: Script;

  constructor(script: Script) {
    this.#script = script;
  }

  run(numTokens: number): this {
    const { speedup, round = () => 3, noise = 0, random = seededRandom(1) } = this.#script;
    const { plainMs = () => PLAIN_MS } = this.#script;
    const end = this.drafted.length + numTokens;
    while (this.drafted.length < end) {
      const drafts = this.guard.drafts;
      const tokens = drafts ? round() : 1;
      const done = this.drafted.length;
      const ms = (tokens * plainMs(done)) / (drafts ? speedup(done) : 1);
      this.nowMs += ms * (1 + noise * (2 * random() - 1));
      this.guard.observe(this.nowMs, tokens, drafts);
      for (let i = 0; i < tokens; i++) this.drafted.push(drafts);
    }
    return this;
  }

  share(from = 0): number {
    const tokens = this.drafted.slice(from);
    return tokens.filter(Boolean).length / tokens.length;
  }

  /** Lengths of runs in one way, drafted ones negative. */
  get runs(): number[] {
    const runs: number[] = [];
    for (const drafted of this.drafted) {
      const last = runs.at(-1);
      const step = drafted ? -1 : 1;
      if (last === undefined || last > 0 === drafted) runs.push(step);
      else runs[runs.length - 1] = last + step;
    }
    return runs;
  }
}

describe("drafting that pays", () => {
  test("begins after a few plain tokens", () => {
    const serving = new Serving({ speedup: () => 1.3 }).run(60);
    expect(serving.drafted.indexOf(true)).toBeLessThanOrEqual(10);
    expect(serving.drafted.slice(10).every(Boolean)).toBe(true);
    expect(serving.guard.speedup).toBeCloseTo(1.3, 6);
  });

  test.each([1.2, 1.5, 3])(
    "is never taken for one that does not, at %d and a tenth of noise",
    (speedup) => {
      for (let seed = 0; seed < 40; seed++) {
        const script = { speedup: () => speedup, noise: 0.1, random: seededRandom(seed) };
        // Nothing but the short refreshes of the plain speed comes between.
        const plain = new Serving(script).run(5000).runs.filter((run) => run > 0);
        expect(Math.max(...plain), `seed ${seed}`).toBeLessThanOrEqual(10);
        expect(plain.length, `seed ${seed}`).toBeLessThanOrEqual(1 + 5000 / 512);
      }
    },
  );

  test("goes on where chance decides how many tokens a round has", () => {
    // Three drafts that are each taken with 80 %: rounds of 1 to 4 tokens, 2.95 in the mean.
    const random = seededRandom(7);
    const round = () => [0, 1, 2].findIndex(() => random() >= 0.8) + 1 || 4;
    let tokens = 0;
    let ms = 0;
    for (let answer = 0; answer < 20; answer++) {
      // A round takes what 2.35 plain tokens take, whatever comes of it: a speedup of 1.256.
      let length = 0;
      const next = () => {
        length = round();
        return length;
      };
      const serving = new Serving({ round: next, speedup: () => length / 2.35 }).run(1000);
      tokens += serving.drafted.length;
      ms += serving.nowMs - 1000;
    }
    expect((tokens * PLAIN_MS) / ms).toBeGreaterThan(1.2);
  });

  test.each([
    [1.256, 1.2],
    [1.5, 1.42],
    [2, 1.9],
  ])("and loses little by doubts: of %d, more than %d stays", (before, left) => {
    let tokens = 0;
    let ms = 0;
    for (let seed = 0; seed < 20; seed++) {
      const random = seededRandom(seed);
      const { round, perRound = () => 1 } = byChance(random);
      let length = 0;
      const next = () => {
        length = round();
        return length;
      };
      const speedup = () => before * perRound(length);
      const serving = new Serving({ round: next, speedup, noise: 0.1, random }).run(2000);
      tokens += serving.drafted.length;
      ms += serving.nowMs - 1000;
    }
    expect((tokens * PLAIN_MS) / ms).toBeGreaterThan(left);
  });

  test("is not stopped by hiccups: one round in fifty that takes four times as long", () => {
    let tokens = 0;
    let ms = 0;
    for (let seed = 0; seed < 20; seed++) {
      const random = seededRandom(seed);
      const speedup = () => 1.5 / (random() < 0.02 ? 4 : 1);
      const serving = new Serving({ speedup, noise: 0.1, random }).run(2000);
      tokens += serving.drafted.length;
      ms += serving.nowMs - 1000;
    }
    // 1.415 of drafts alone.
    expect((tokens * PLAIN_MS) / ms).toBeGreaterThan(1.3);
  });
});

describe("drafting that no longer pays", () => {
  test.each([
    [1.2, 1],
    [1.5, 1],
    [1.5, 0.5],
    [2, 1],
    [2, 0.9],
  ])("stops within 32 tokens of a fall from %d to %d", (before, after) => {
    for (let round = 1; round <= 9; round++) {
      for (let fall = 100; fall < 140; fall += 7) {
        const serving = new Serving({
          round: () => round,
          speedup: (done) => (done < fall ? before : after),
        }).run(fall);
        expect(serving.guard.drafts).toBe(true);
        // Also from the middle of a round, which began before the fall.
        serving.run(fall + 32 - serving.drafted.length);
        expect(serving.drafted.lastIndexOf(true) - fall, `${round}, ${fall}`).toBeLessThan(32);
        expect(serving.guard.drafts).toBe(false);
      }
    }
  });

  describe.each([
    [1.2, 1],
    [1.256, 1],
    [1.5, 1],
    [1.5, 0.8],
    [2, 0.9],
  ])("from %d to %d", (before, after) => {
    test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])(
      "stops within 32 tokens at rounds of %d and a tenth of noise",
      (round) => {
        for (let seed = 0; seed < 40; seed++) {
          const random = seededRandom(seed);
          const fall = { before, after, noise: 0.1, random, round: () => round };
          const tokens = tokensToStop({ ...fall, start: 150 + 7 * seed, into: seed % round });
          expect(tokens, `seed ${seed}`).toBeLessThanOrEqual(32);
        }
      },
    );

    test.each([0, 0.1])(
      "stops within 32 tokens where chance decides how many a round has, with noise of %d",
      (noise) => {
        for (let seed = 0; seed < 40; seed++) {
          const random = seededRandom(seed);
          const chance = byChance(random);
          const fall = { before, after, noise, random, start: 150 + 7 * seed, ...chance };
          expect(tokensToStop(fall), `seed ${seed}`).toBeLessThanOrEqual(32);
        }
      },
    );
  });

  test("stops within 32 tokens nearly always where it is drafts that are no longer taken", () => {
    // Each was taken with 80 %, and rounds take the same time throughout.
    const tokensOf = (taken: number) => {
      const tokens: number[] = [];
      for (let seed = 0; seed < 100; seed++) {
        const random = seededRandom(seed);
        let probability = 0.8;
        const round = () => [0, 1, 2].findIndex(() => random() >= probability) + 1 || 4;
        const speedup = (length: number) => length / 2.35;
        const onFall = () => {
          probability = taken;
        };
        const rounds = { round, perRound: speedup, onFall, noise: 0, random };
        tokens.push(tokensToStop({ before: 1, after: 1, start: 150 + 7 * seed, ...rounds }));
      }
      return tokens.sort((a, b) => a - b);
    };
    // A speedup of 0.69.
    expect(tokensOf(0.4).at(-1)).toBeLessThanOrEqual(32);
    // Of 1: as many tokens as come by chance now and then while it pays.
    const even = tokensOf(0.65);
    expect(even[89]).toBeLessThanOrEqual(32);
    expect(even.at(-1)).toBeLessThanOrEqual(96);
  });

  test("stops within 32 tokens with noise too, where the fall is clear", () => {
    for (let seed = 0; seed < 40; seed++) {
      const serving = new Serving({
        speedup: (done) => (done < 200 ? 1.3 : 0.8),
        noise: 0.1,
        random: seededRandom(seed),
      }).run(200);
      serving.run(32);
      expect(serving.guard.drafts, `seed ${seed}`).toBe(false);
    }
  });

  test("is noticed when it is the plain steps that become faster", () => {
    // Seven of eight neighbours left: a plain step takes a third, a round what it took before.
    const serving = new Serving({
      plainMs: (done) => (done < 700 ? PLAIN_MS : PLAIN_MS / 3),
      speedup: (done) => (done < 700 ? 1.5 : 0.5),
    }).run(1400);
    expect(serving.share(1300)).toBeLessThan(0.5);
  });
});

describe("probes", () => {
  test("come back, each failed one later than the one before", () => {
    const { runs } = new Serving({ speedup: () => 0.8 }).run(12_000);
    const waits = runs.filter((run) => run > 0).slice(1, -1);
    expect(waits.length).toBeGreaterThan(5);
    for (const [i, wait] of waits.slice(1).entries()) {
      const expected = Math.min(2048, 2 * waits[i]!);
      expect(Math.abs(wait - expected)).toBeLessThanOrEqual(3);
    }
  });

  test("find out when drafting pays again", () => {
    const serving = new Serving({ speedup: (done) => (done < 600 ? 0.8 : 1.4) }).run(600);
    expect(serving.guard.drafts).toBe(false);
    serving.run(1000);
    expect(serving.guard.drafts).toBe(true);
    serving.run(400);
    expect(serving.share(1600)).toBeGreaterThan(0.95);
  });

  test.each([
    [0.5, 0.09],
    [0.8, 0.05],
    [0.9, 0.05],
    [1, 0.05],
    [1.04, 0.05],
  ])("at %d cost less than %d of the time, and ever less", (speedup, bound) => {
    for (const round of [1, 2, 4]) {
      const cost = (numTokens: number) => {
        const serving = new Serving({ round: () => round, speedup: () => speedup }).run(numTokens);
        return (serving.nowMs - 1000) / (serving.drafted.length * PLAIN_MS) - 1;
      };
      expect(cost(300), `rounds of ${round}`).toBeLessThan(bound);
      expect(cost(1000), `rounds of ${round}`).toBeLessThan(bound);
      expect(cost(20_000), `rounds of ${round}`).toBeLessThan(0.01);
    }
  });
});

describe("times that tell nothing", () => {
  test("are those in which nobody computed", () => {
    const serving = new Serving({ speedup: () => 1.3 }).run(100);
    serving.nowMs += 60_000;
    serving.guard.pause();
    serving.run(100);
    expect(serving.share(100)).toBe(1);
  });

  test("are those between plain and drafted: the first round may wait for its shaders", () => {
    const { guard, commit } = learnt();
    commit(3000, 3, true);
    for (let i = 0; i < 20; i++) commit(20, 3, true);
    expect(guard.speedup).toBeCloseTo(1.5, 6);
    expect(guard.drafts).toBe(true);
  });

  test("commits that trail a change count for the way they came", () => {
    const { guard, commit } = learnt();
    // Steps that were in flight.
    for (let i = 0; i < 4; i++) commit(10, 1, false);
    for (let i = 0; i < 8; i++) commit(20, 3, true);
    expect(guard.speedup).toBeCloseTo(1.5, 6);
  });
});

interface Fall {
  readonly before: number;
  readonly after: number;
  readonly noise: number;
  readonly random: Random;
  readonly round: () => number;
  /** What a round of so many tokens has of the speedup; all of it unless given. */
  readonly perRound?: (tokens: number) => number;
  /** Tokens until it falls, or some more until 48 in a row were drafted. */
  readonly start: number;
  /** Tokens of the last round that come after the fall. */
  readonly into?: number;
  readonly onFall?: () => void;
}

/** From the fall on, until the guard stops drafting. */
function tokensToStop(fall: Fall): number {
  const { before, after, noise, random, start, into = 0, perRound = () => 1 } = fall;
  let speed = before;
  let length = 0;
  const round = () => {
    length = fall.round();
    return length;
  };
  const serving = new Serving({ round, speedup: () => speed * perRound(length), noise, random });
  serving.run(start);
  while (!serving.drafted.slice(-48).every(Boolean)) serving.run(1);
  const fallen = serving.drafted.length - into;
  speed = after;
  fall.onFall?.();
  while (serving.guard.drafts) serving.run(1);
  return serving.drafted.length - fallen;
}

/** Three drafts that are each taken with 80 %: 1 to 4 tokens, 2.95 in the mean, and always the same time. */
function byChance(random: Random): Pick<Fall, "round" | "perRound"> {
  const round = () => [0, 1, 2].findIndex(() => random() >= 0.8) + 1 || 4;
  return { round, perRound: (tokens) => tokens / 2.952 };
}

/** A guard that knows the plain speed, 10 ms. */
function learnt() {
  const guard = new DraftGuard();
  let nowMs = 0;
  const commit = (ms: number, tokens: number, drafted: boolean) => {
    nowMs += ms;
    guard.observe(nowMs, tokens, drafted);
  };
  while (!guard.drafts) commit(10, 1, false);
  return { guard, commit };
}
