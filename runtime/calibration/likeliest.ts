/** What a model says of a next token, short enough to keep for thousands of them. */

/** Ids that are kept apart; the others count as one. */
const KEPT = 1024;
/** Where float64 sums leave nothing for the others. */
const LEAST_REST = 1e-12;

export interface Likeliest {
  readonly ids: Uint32Array;
  /** Natural logarithms of their probabilities. */
  readonly logprobs: Float32Array;
  /** Probability of all others together; 0 where there are none. */
  readonly rest: number;
  readonly top: number;
}

export function likeliest(logits: Float32Array): Likeliest {
  const ids = logits.length <= KEPT ? Uint32Array.from(logits.keys()) : highest(logits);
  const total = logSumExp(logits);
  const logprobs = Float32Array.from(ids, (id) => logits[id] - total);
  const isAll = ids.length === logits.length;
  return { ids, logprobs, rest: isAll ? 0 : restOf(logprobs), top: argmax(logits) };
}

/**
 * KL(kept ‖ said) in nats: how much of what a whole model says is lost where another's logits take its
 * place. Ids that are not kept count as one token, so of a vocabulary above 1,024 it is a lower bound.
 */
export function divergence(kept: Likeliest, said: Float32Array): number {
  const total = logSumExp(said);
  let sum = 0;
  let saidOfKept = 0;
  for (let i = 0; i < kept.ids.length; i++) {
    const p = Math.exp(kept.logprobs[i]);
    const logSaid = said[kept.ids[i]] - total;
    saidOfKept += Math.exp(logSaid);
    sum += p * (kept.logprobs[i] - logSaid);
  }
  if (kept.rest > 0) {
    sum += kept.rest * Math.log(kept.rest / Math.max(1 - saidOfKept, LEAST_REST));
  }
  // Logprobs are kept in f32, so equal distributions may seem to be off by less than nothing.
  return Math.max(0, sum);
}

/** Of several that are highest, the first: as greedy sampling has it. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Probability of the likeliest id. */
export const confidence = (logits: Float32Array): number =>
  Math.exp(logits[argmax(logits)] - logSumExp(logits));

function highest(logits: Float32Array): Uint32Array {
  const least = logits.slice().sort()[logits.length - KEPT];
  const ids: number[] = [];
  for (let id = 0; id < logits.length && ids.length < KEPT; id++) {
    if (logits[id] >= least) ids.push(id);
  }
  return Uint32Array.from(ids);
}

function restOf(logprobs: Float32Array): number {
  const kept = logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  return Math.max(1 - kept, LEAST_REST);
}

function logSumExp(values: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) if (values[i] > max) max = values[i];
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - max);
  return max + Math.log(sum);
}
