/**
 * Which experts each token goes to, and how much each counts. A workgroup per token; an expert's rank
 * is the number of better ones, so there is no sort and no race.
 */
import { type Dims, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { chooseExperts, MAX_CHOSEN, MAX_EXPERTS, NO_EXPERT, type RouterSpec } from "./router.ts";

/** One for each that may be chosen. */
const LANES = MAX_CHOSEN;
/** Experts whose powers one lane adds up. */
const SUMMED = MAX_EXPERTS / LANES;

/** What the text of the kernel depends on; the rest are numbers. */
export type RouterKind = Pick<RouterSpec, "score" | "choiceBias"> & {
  readonly groups: "none" | "max" | "top2sum";
  /** Whether rows of an adapter go to experts of its own. */
  readonly adapted?: boolean;
};

export const routerKind = (
  { score, choiceBias, groups }: RouterSpec,
  { adapted = false } = {},
): RouterKind => ({
  score,
  choiceBias,
  groups: groups?.stat ?? "none",
  adapted,
});

const scoresWgsl = {
  sigmoid: wgsl`for (var e = lane; e < params.E; e += ${LANES}u) {
    scores[e] = 1.0 / (1.0 + exp(min(-ranked[e], 80.0)));
  }`,
  // Powers are added in runs of ${SUMMED}, and the runs ascending, whatever E is.
  softmax: wgsl`var largest = ranked[0];
  for (var e = 1u; e < params.E; e++) { largest = max(largest, ranked[e]); }
  var sum = 0.0;
  for (var e = lane * ${SUMMED}u; e < min(lane * ${SUMMED}u + ${SUMMED}u, params.E); e++) {
    let power = exp(ranked[e] - largest);
    scores[e] = power;
    sum += power;
  }
  partial[lane] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i * ${SUMMED}u < params.E; i++) { total += partial[i]; }
  for (var e = lane; e < params.E; e += ${LANES}u) { scores[e] = scores[e] / total; }`,
} as const;

const groupsWgsl = (stat: "max" | "top2sum") => wgsl`
  let size = params.E / params.groups;
  if (lane < params.groups) {
    var first = LOWEST;
    var second = LOWEST;
    for (var e = lane * size; e < lane * size + size; e++) {
      let value = ranked[e];
      if (value > first) { second = first; first = value; } else if (value > second) { second = value; }
    }
    partial[lane] = ${stat === "max" ? "first" : "first + second"};
  }
  workgroupBarrier();
  for (var e = lane; e < params.E; e += ${LANES}u) {
    let own = e / size;
    var better = 0u;
    for (var g = 0u; g < params.groups; g++) {
      if (partial[g] > partial[own] || (partial[g] == partial[own] && g < own)) { better += 1u; }
    }
    if (better >= params.kept_groups) { ranked[e] = LOWEST; }
  }
  workgroupBarrier();`;

const source = ({ score, choiceBias, groups, adapted }: RouterKind): string => wgsl`
const LOWEST = -3.4028234e38;
/** Logits; then what the choice goes by. */
var<workgroup> ranked: array<f32, ${MAX_EXPERTS}>;
var<workgroup> scores: array<f32, ${MAX_EXPERTS}>;
var<workgroup> partial: array<f32, ${LANES}>;
var<workgroup> chosen: array<u32, ${MAX_CHOSEN}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let row = wg.x;
  let lane = lid.x;
  for (var e = lane; e < params.E; e += ${LANES}u) { ranked[e] = load_logits(row * params.stride + e); }
  workgroupBarrier();
  ${scoresWgsl[score]}
  workgroupBarrier();
  ${
    choiceBias
      ? wgsl`for (var e = lane; e < params.E; e += ${LANES}u) { ranked[e] = scores[e] + load_choice_bias(e); }
  workgroupBarrier();`
      : ""
  }
  ${groups === "none" ? "" : groupsWgsl(groups)}
  for (var e = lane; e < params.E; e += ${LANES}u) {
    let own = ranked[e];
    var better = 0u;
    for (var other = 0u; other < params.E; other++) {
      let value = ranked[other];
      if (value > own || (value == own && other < e)) { better += 1u; }
    }
    if (better < params.k) { chosen[better] = e; }
  }
  workgroupBarrier();
  if (lane >= params.k) { return; }
  var divisor = 1.0;
  if (params.renormalise == 1u) {
    var sum = 0.0;
    for (var j = 0u; j < params.k; j++) { sum += scores[chosen[j]]; }
    divisor = sum + params.eps;
  }
  let id = chosen[lane];
  let own = ${adapted ? "load_expert_of(load_row_adapters(row) * params.E + id)" : "id"};
  store_ids(row * params.k + lane, select(own, ${NO_EXPERT}u, id >= params.identity_from));
  store_weights(row * params.k + lane, scores[id] / divisor * params.scale);
}
`;

/**
 *   logits [T,stride] (the first E)  choice_bias? [E]  → ids [T,k] u32, weights [T,k]
 *   adapted: row_adapters [T] u32, expert_of [A,E] u32: what an expert's number is for rows of an adapter
 *
 * The best expert first. Identity experts become NO_EXPERT and keep their weight.
 * Cost: 4·T·E bytes and E comparisons for each logit: small beside the experts.
 * @see Shazeer et al., arXiv:1701.06538; DeepSeek-V3, arXiv:2412.19437, section 2.1.2 (bias, groups).
 */
export const route = (kind: RouterKind): Kernel => {
  const { score, choiceBias, groups, adapted } = kind;
  const parts = [choiceBias && "bias", groups !== "none" && groups, adapted && "adapted"];
  const name = `route.${[score, ...parts.filter(Boolean)].join("_")}`;
  let kernel = built.get(name);
  if (!kernel) {
    kernel = build(name, kind);
    built.set(name, kernel);
  }
  return kernel;
};

const built = new Map<string, Kernel>();

/** @param stride Columns of the logits. */
export const routeDims = (router: RouterSpec, T: number, stride: number): Dims => ({
  T,
  stride,
  E: router.experts,
  k: router.chosen,
  renormalise: router.renormaliseEps === undefined ? 0 : 1,
  eps: router.renormaliseEps ?? 0,
  scale: router.scale,
  groups: router.groups?.count ?? 1,
  kept_groups: router.groups?.kept ?? 1,
  identity_from: router.identityFrom ?? router.experts,
});

function build(name: string, kind: RouterKind): Kernel {
  return defineKernel({
    name,
    numerics: name,
    bindings: {
      logits: read("T,stride"),
      ...(kind.choiceBias && { choice_bias: read("E") }),
      ...(kind.adapted && { row_adapters: read("T", "u32"), expert_of: read("A,E", "u32") }),
      ids: write("T,k", "u32"),
      weights: write("T,k"),
    },
    params: {
      ...{ stride: "u32", E: "u32", k: "u32", renormalise: "u32", eps: "f32", scale: "f32" },
      ...{ groups: "u32", kept_groups: "u32", identity_from: "u32" },
    },
    wgsl: source(kind),
    workgroups: ({ T }) => [T, 1, 1],
    cost: ({ T, E, k }) => ({
      flops: T * E * (8 + E),
      bytes: {
        logits: 4 * T * E,
        ...(kind.choiceBias && { choice_bias: 4 * T * E }),
        ...(kind.adapted && { row_adapters: 4 * T * k, expert_of: 4 * T * k }),
        ids: 4 * T * k,
        weights: 4 * T * k,
      },
    }),
    reference: ({ logits, choice_bias, row_adapters, expert_of, ids, weights }, dims) => {
      const { T, E, stride, k } = dims;
      const router = routerOf(kind, dims);
      for (let t = 0; t < T; t++) {
        const choice = chooseExperts(router, logits.subarray(t * stride), choice_bias);
        for (const [j, id] of choice.ids.entries()) {
          const own = kind.adapted ? expert_of[row_adapters[t] * E + id] : id;
          ids[t * k + j] = id >= dims.identity_from ? NO_EXPERT : own;
          weights[t * k + j] = choice.weights[j];
        }
      }
    },
    probes: probeRouters(kind).map((router) => {
      const dims: Dims = { ...routeDims(router, 3, router.experts + 1), A: 3 };
      const { T, A, E } = dims;
      return {
        dims,
        inputs: (random) => ({
          logits: normal(T * dims.stride, random, 2),
          ...(kind.choiceBias && { choice_bias: normal(E, random) }),
          ...(kind.adapted && {
            row_adapters: Uint32Array.of(2, 0, 1),
            expert_of: Uint32Array.from({ length: A * E }, (_, i) => (i * 7) % (2 * E)),
          }),
        }),
      };
    }),
  });
}

const routerOf = (kind: RouterKind, dims: Dims): RouterSpec => ({
  experts: dims.E,
  chosen: dims.k,
  score: kind.score,
  choiceBias: kind.choiceBias,
  ...(kind.groups !== "none" && {
    groups: { count: dims.groups, kept: dims.kept_groups, stat: kind.groups },
  }),
  ...(dims.renormalise === 1 && { renormaliseEps: dims.eps }),
  scale: dims.scale,
  identityFrom: dims.identity_from,
});

function probeRouters({ score, choiceBias, groups }: RouterKind): RouterSpec[] {
  const sizes = [
    { experts: 8, chosen: 2, scale: 1, renormaliseEps: 0 },
    { experts: 96, chosen: 7, scale: 2.5 },
    { experts: 200, chosen: 64, scale: 1, renormaliseEps: 1e-20, identityFrom: 190 },
  ];
  return sizes.map((size) => ({
    ...size,
    ...{ score, choiceBias },
    ...(groups !== "none" && {
      groups: { count: 4, kept: size.chosen === 64 ? 3 : 2, stat: groups },
    }),
  }));
}
