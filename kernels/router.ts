/**
 * How a token chooses its experts, for every family: one description, and its plain meaning. All in
 * f32; ties go to the lowest index; weights come from scores without the bias.
 */
export interface RouterSpec {
  /** E, identity experts included. At most MAX_EXPERTS. */
  readonly experts: number;
  /** k. At most MAX_CHOSEN. */
  readonly chosen: number;
  /** Softmax over all experts, or a sigmoid of each. Both rise with the logit. */
  readonly score: "softmax" | "sigmoid";
  /** Whether a learnt bias is added to scores for the choice, and not for the weights. */
  readonly choiceBias: boolean;
  /** The choice is among the experts of the best groups alone. */
  readonly groups?: RouterGroups;
  /** Divides the weights by their sum, and by so much more; undefined leaves them. */
  readonly renormaliseEps?: number;
  /** Of the weights, at last. */
  readonly scale: number;
  /** Experts from here on give their input back: no matrix, only a weight. */
  readonly identityFrom?: number;
}

export interface RouterGroups {
  /** At most 64. */
  readonly count: number;
  readonly kept: number;
  /** What ranks a group: its best expert, or the sum of its best two. */
  readonly stat: "max" | "top2sum";
}

/** What kernels take. */
export const MAX_EXPERTS = 1024;
export const MAX_CHOSEN = 64;

/** In place of an expert's id where a slot needs no matrix. */
export const NO_EXPERT = 0xffff_ffff;

export interface Choice {
  /** k of them, the best first. */
  readonly ids: readonly number[];
  readonly weights: readonly number[];
}

/** The slow twin of `route`, for one token: sums in float64. */
export function chooseExperts(
  router: RouterSpec,
  logits: ArrayLike<number>,
  bias?: ArrayLike<number>,
): Choice {
  const all = Array.from({ length: router.experts }, (_, e) => e);
  const scores = scoresOf(
    router,
    all.map((e) => logits[e]!),
  );
  // Without a bias the logits rank the experts, also those whose scores are the same number.
  const ranked = router.choiceBias
    ? all.map((e) => Math.fround(Math.fround(scores[e]) + bias![e]!))
    : all.map((e) => logits[e]!);
  const open = router.groups ? openExperts(router.groups, ranked) : all;
  const ids = best(open, ranked).slice(0, router.chosen);
  const chosen = ids.map((e) => scores[e]);
  const { renormaliseEps: eps, scale } = router;
  const divisor = eps === undefined ? 1 : chosen.reduce((sum, score) => sum + score, 0) + eps;
  return { ids, weights: chosen.map((score) => (score / divisor) * scale) };
}

function scoresOf({ score }: RouterSpec, logits: readonly number[]): number[] {
  if (score === "sigmoid") return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** The highest first; of equal ones the lowest index. */
const best = (of: readonly number[], ranked: readonly number[]): number[] =>
  [...of].sort((a, b) => ranked[b] - ranked[a] || a - b);

function openExperts({ count, kept, stat }: RouterGroups, ranked: readonly number[]): number[] {
  const size = ranked.length / count;
  const members = (group: number) =>
    ranked.map((_, e) => e).slice(group * size, (group + 1) * size);
  const groups = Array.from({ length: count }, (_, group) => group);
  const stats = groups.map((group) => {
    const [first, second] = best(members(group), ranked);
    return stat === "max" ? ranked[first] : Math.fround(ranked[first] + ranked[second]);
  });
  return best(groups, stats).slice(0, kept).flatMap(members);
}
