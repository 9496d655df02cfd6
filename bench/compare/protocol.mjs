// What every subject is asked, in which order, and how an answer becomes figures. Pure.

/**
 * @typedef {{ ids: number[], text: string }} Prompt `text` lacks the start token, which every
 *   tokenizer adds
 * @typedef {object} Stream One request's answer; milliseconds since the batch was sent
 * @property {number} firstMs When its first token arrived
 * @property {number} lastMs
 * @property {number[]} ids
 * @typedef {{ wallMs: number, streams: Stream[] }} Answer
 * @typedef {{ prefillTokPerS?: number, decodeTokPerS?: number, aggregateTokPerS: number }} Speeds
 * @typedef {[id: number, text: string]} Word One token wherever it stands
 */

/** Requests at once. */
export const CONCURRENCIES = [1, 8];
/** The first request in a fresh process, whose tokens are compared with the reference device's. */
export const COLD_ROUND = 0;
export const WARM_UP_ROUND = 1;
export const FIRST_TIMED_ROUND = 2;

const BOS = 1;
const PROMPTS_PER_ROUND = 16;

/**
 * The prompts of a batch: the same for every subject, and no two of a sitting have more than the
 * start token in common, so that no prefix cache helps.
 * @param {readonly Word[]} words
 * @param {{ round: number, concurrency: number, promptTokens: number }} batch
 * @returns {Prompt[]}
 */
export function promptsOf(words, { round, concurrency, promptTokens }) {
  // A request alone has a place of its own beside the many.
  const first = round * PROMPTS_PER_ROUND + (concurrency === 1 ? 0 : 1);
  return Array.from({ length: concurrency }, (_, i) => prompt(words, first + i, promptTokens));
}

/**
 * @param {readonly Word[]} words
 * @param {number} number
 * @param {number} promptTokens
 * @returns {Prompt}
 */
function prompt(words, number, promptTokens) {
  if (number >= words.length) {
    throw new Error(
      `prompt ${number} of the sitting needs a first word of its own, the tokenizer has ` +
        `${words.length}; lower --repeats`,
    );
  }
  // The second token is the prompt's number, the others are drawn.
  const chosen = [words[number]];
  let state = Math.imul(number + 1, 0x9e3779b9) >>> 0;
  while (chosen.length < promptTokens - 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    chosen.push(words[Math.floor((state / 2 ** 32) * words.length)]);
  }
  return { ids: [BOS, ...chosen.map(([id]) => id)], text: chosen.map(([, text]) => text).join("") };
}

/**
 * Every batch of the timed rounds. Subjects take turns within a round, and every second round goes
 * backwards, so that a machine that slows down is unfair to nobody.
 * @template T
 * @param {readonly T[]} subjects
 * @param {number} repeats
 * @returns {{ round: number, concurrency: number, subject: T }[]}
 */
export function timedBatches(subjects, repeats) {
  return Array.from({ length: repeats }, (_, i) => {
    const turn = i % 2 === 0 ? subjects : subjects.toReversed();
    return CONCURRENCIES.flatMap((concurrency) =>
      turn.map((subject) => ({ round: FIRST_TIMED_ROUND + i, concurrency, subject })),
    );
  }).flat();
}

/**
 * Prompt and decode speed are told of a request alone; the aggregate counts all generated tokens
 * over the batch's whole time, prompts included.
 * @param {Answer} answer
 * @param {{ promptTokens: number, genTokens: number }} lengths
 * @returns {Speeds}
 * @throws if a stream has another number of tokens: its speed would be of other work
 */
export function speedsOf({ wallMs, streams }, { promptTokens, genTokens }) {
  const odd = streams.find(({ ids }) => ids.length !== genTokens);
  if (odd) throw new Error(`generated ${odd.ids.length} tokens where ${genTokens} were asked for`);
  const aggregateTokPerS = (1000 * genTokens * streams.length) / wallMs;
  if (streams.length > 1) return { aggregateTokPerS };
  const [{ firstMs, lastMs }] = streams;
  return {
    prefillTokPerS: (1000 * promptTokens) / firstMs,
    decodeTokPerS: (1000 * (genTokens - 1)) / (lastMs - firstMs),
    aggregateTokPerS,
  };
}

/**
 * @param {readonly number[]} values At least one
 * @returns {{ median: number, min: number, max: number }}
 */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/**
 * How many tokens agree before the first that does not.
 * @param {readonly number[]} ids
 * @param {readonly number[]} expected
 */
export function agreeing(ids, expected) {
  const differing = expected.findIndex((id, i) => ids[i] !== id);
  return differing === -1 ? expected.length : differing;
}
