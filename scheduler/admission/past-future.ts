/**
 * How long answers of a class were predicts how long those that run will be: a sequence may start if
 * the peak of memory over the predicted ends of all still fits. Past-Future scheduler, Gong et al.,
 * ASPLOS 2025, with the constants of its artifact (WuSiYu/lightllm-ae), and one history per class.
 */

import type { Priority } from "../priority.ts";
import type { Random } from "../random.ts";
import type { Sequence } from "../sequence.ts";
import { countedBefore } from "./counted-once.ts";
import type { AdmissionPolicy } from "./policy.ts";

/** Ends remembered per class. */
const WINDOW = 40;
/** A fresh history takes so many answers for as long as they may be. */
const NUM_UNKNOWN = 20;
/** Share of the pool kept free: it, more than several lists, is what saves from taking back. */
const RESERVE = 0.05;
/** Predictions per decision: few sequences vary much, so they are drawn more often. */
const numLists = (numRunning: number) => Math.min(5, Math.floor(200 / numRunning) + 1);

export function pastFuture(random: Random): AdmissionPolicy {
  const histories = new Map<Priority, LengthHistory>();
  const historyOf = ({ priority }: Sequence): LengthHistory => {
    const history = histories.get(priority) ?? new LengthHistory();
    histories.set(priority, history);
    return history;
  };
  return {
    admits(candidate, running, { numBlocks, blockTokens }) {
      const sequences = [...running, candidate];
      // A sequence leaves on average half a block empty.
      const waste = (sequences.length * (blockTokens - 1)) / 2;
      const capacity = (1 - RESERVE) * numBlocks * blockTokens - waste;
      for (let list = numLists(running.length); list > 0; list--) {
        const futures = sequences.map((sequence) => {
          const length = historyOf(sequence).predict(sequence, random);
          return {
            used: sequence.numTokens,
            shared: sequence.shared,
            left: Math.max(0, length - sequence.numSampledTokens - 1),
          };
        });
        if (peakTokens(futures) >= capacity) return false;
      }
      return true;
    },
    observeEnd(sequence) {
      historyOf(sequence).add(sequence.numSampledTokens);
    },
  };
}

interface Future {
  readonly used: number;
  /** Of `used`. */
  readonly shared?: Sequence["shared"];
  readonly left: number;
}

/**
 * Most tokens held at once: just before a sequence ends, the others with as much or more left are
 * all still there, each grown by what that one had left.
 */
export function peakTokens(futures: readonly Future[]): number {
  const counted = countedBefore();
  let peak = 0;
  let used = 0;
  [...futures]
    .sort((a, b) => b.left - a.left)
    .forEach((future, i) => {
      used += future.used - counted(future);
      peak = Math.max(peak, used + future.left * (i + 1));
    });
  return peak;
}

/** Lengths of the latest answers of one class. */
class LengthHistory {
  readonly #latest: number[] = new Array(NUM_UNKNOWN).fill(Number.POSITIVE_INFINITY);
  #ascending = this.#latest;

  add(length: number): void {
    this.#latest.push(length);
    if (this.#latest.length > WINDOW) this.#latest.shift();
    this.#ascending = this.#latest.toSorted((a, b) => a - b);
  }

  /** A draw from the lengths above what it has sampled, and at most what it may. */
  predict({ numSampledTokens, maxTokens, hasStarted }: Sequence, random: Random): number {
    const lengths = this.#ascending;
    if (!hasStarted) return Math.min(maxTokens, lengths[Math.floor(random() * lengths.length)]);
    const first = lengths.findIndex((length) => length > numSampledTokens);
    const longer = first < 0 ? [] : lengths.slice(first);
    // Knots: what it has, each longer length, and what it may have if none reaches that.
    if (!(lengths[lengths.length - 1] >= maxTokens)) longer.push(maxTokens);
    const knot = (i: number) =>
      i === 0 ? numSampledTokens : Math.min(maxTokens, longer[i - 1] ?? maxTokens);
    const at = random() * longer.length;
    const below = Math.floor(at);
    return knot(below) + (at - below) * (knot(below + 1) - knot(below));
  }
}
