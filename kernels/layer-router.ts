/**
 * Whether a layer is skipped, run or run twice, for a sequence: a small network over the means of its
 * rows, as they enter the layer.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { MAX_WINDOWS } from "./window-means.ts";

/** Width of the network's hidden layer. */
export const ROUTER_WIDTH = 128;
/** What a decision is, by number. */
export const LAYER_DECISIONS = ["skip", "execute", "repeat"] as const;
const CLASSES = LAYER_DECISIONS.length;

/**
 *   means [D,8], of which W columns  weight_in [128,D]  bias_in [128]  weight_out [3,128]  bias_out [3]
 *   → decisions [S] u32, logits [S,3], entry `slot` of each
 *
 * logits = mean over columns of (weight_out · gelu(weight_in · column + bias_in) + bias_out), gelu by tanh; the
 * decision is the largest, of equal ones the first. Sums: in chunks of 32, fma ascending inside a chunk from
 * 0, chunk sums added ascending from 0, as matrix kernels have them; columns ascending.
 * One workgroup, a lane per hidden unit: D must be a multiple of 4. Cost: 512·D bytes of weights, once per prompt.
 * @see Dr.LLM, arXiv:2510.12773 §3.
 */
export const layerRouter: Kernel = defineKernel({
  name: "layer_router",
  numerics: "layer_router/chunk32",
  bindings: {
    means: read(`D,${MAX_WINDOWS}`, "vec4<f32>"),
    weight_in: read(`${ROUTER_WIDTH},D`, "vec4<f32>"),
    bias_in: read(`${ROUTER_WIDTH}`),
    weight_out: read(`${CLASSES},${ROUTER_WIDTH}`),
    bias_out: read(`${CLASSES}`),
    decisions: write("S", "u32"),
    logits: write(`S,${CLASSES}`),
  },
  params: { W: "u32", D: "u32", slot: "u32" },
  wgsl: wgsl`
var<workgroup> hidden: array<f32, ${MAX_WINDOWS * ROUTER_WIDTH}>;
var<workgroup> window_logits: array<f32, ${MAX_WINDOWS * CLASSES}>;

/** By exp: WGSL promises little of tanh. */
fn gelu(x: f32) -> f32 {
  let inner = 0.7978845608028654 * fma(0.044715 * x * x, x, x);
  return x / (1.0 + exp(min(-2.0 * inner, 80.0)));
}

@compute @workgroup_size(${ROUTER_WIDTH})
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let quads = params.D / 4u;
  // Windows 0 to 3, and 4 to 7: a weight is read once.
  var low = vec4<f32>();
  var high = vec4<f32>();
  for (var start = 0u; start < quads; start += 8u) {
    var low_chunk = vec4<f32>();
    var high_chunk = vec4<f32>();
    for (var i = start; i < min(start + 8u, quads); i++) {
      let weight = load_weight_in(lane * quads + i);
      for (var k = 0u; k < 4u; k++) {
        low_chunk = fma(vec4<f32>(weight[k]), load_means(8u * i + 2u * k), low_chunk);
        high_chunk = fma(vec4<f32>(weight[k]), load_means(8u * i + 2u * k + 1u), high_chunk);
      }
    }
    low += low_chunk;
    high += high_chunk;
  }
  let bias = load_bias_in(lane);
  for (var w = 0u; w < 4u; w++) {
    hidden[w * ${ROUTER_WIDTH}u + lane] = gelu(low[w] + bias);
    hidden[(w + 4u) * ${ROUTER_WIDTH}u + lane] = gelu(high[w] + bias);
  }
  workgroupBarrier();
  if (lane < params.W * ${CLASSES}u) {
    let w = lane / ${CLASSES}u;
    let class_index = lane % ${CLASSES}u;
    // Bounds that depend on the lane, so that no compiler unrolls: it only costs build time.
    let own = class_index * ${ROUTER_WIDTH}u;
    let units = w * ${ROUTER_WIDTH}u;
    var total = 0.0;
    for (var start = own; start < own + ${ROUTER_WIDTH}u; start += 32u) {
      var sum = 0.0;
      for (var j = start; j < start + 32u; j++) {
        sum = fma(load_weight_out(j), hidden[units + j - own], sum);
      }
      total += sum;
    }
    window_logits[lane] = total + load_bias_out(class_index);
  }
  workgroupBarrier();
  if (lane > 0u) { return; }
  var best = 0u;
  var largest = 0.0;
  for (var k = 0u; k < ${CLASSES}u; k++) {
    var sum = 0.0;
    for (var w = 0u; w < params.W; w++) { sum += window_logits[w * ${CLASSES}u + k]; }
    let logit = sum / f32(params.W);
    store_logits(params.slot * ${CLASSES}u + k, logit);
    if (k == 0u || logit > largest) { best = k; largest = logit; }
  }
  store_decisions(params.slot, best);
}
`,
  workgroups: () => [1, 1, 1],
  cost: ({ W, D }) => ({
    flops: 2 * ROUTER_WIDTH * (MAX_WINDOWS * D + W * CLASSES),
    bytes: {
      means: 4 * ROUTER_WIDTH * MAX_WINDOWS * D,
      weight_in: 4 * ROUTER_WIDTH * D,
      bias_in: 4 * ROUTER_WIDTH,
      weight_out: 4 * CLASSES * ROUTER_WIDTH * W,
      bias_out: 4 * CLASSES * W,
      decisions: 4,
      logits: 4 * CLASSES,
    },
  }),
  reference: (io, { W, D, slot }) => {
    const sums = [0, 0, 0];
    for (let w = 0; w < W; w++) {
      for (let k = 0; k < CLASSES; k++) sums[k] += io.bias_out[k];
      for (let j = 0; j < ROUTER_WIDTH; j++) {
        let sum = io.bias_in[j];
        for (let d = 0; d < D; d++) sum += io.weight_in[j * D + d] * io.means[d * MAX_WINDOWS + w];
        const unit = geluReference(sum);
        for (let k = 0; k < CLASSES; k++) sums[k] += io.weight_out[k * ROUTER_WIDTH + j] * unit;
      }
    }
    const logits = sums.map((sum) => Math.fround(sum / W));
    io.logits.set(logits, slot * CLASSES);
    io.decisions[slot] = logits.indexOf(Math.max(...logits));
  },
  probes: [
    { W: 1, D: 32, S: 1, slot: 0 },
    { W: 8, D: 260, S: 3, slot: 1 },
    { W: 5, D: 1056, S: 4, slot: 3 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      means: normal(MAX_WINDOWS * dims.D, random),
      weight_in: normal(ROUTER_WIDTH * dims.D, random, 2 * dims.D ** -0.5),
      bias_in: normal(ROUTER_WIDTH, random),
      weight_out: normal(CLASSES * ROUTER_WIDTH, random, ROUTER_WIDTH ** -0.5),
      bias_out: normal(CLASSES, random),
    }),
  })),
});

const geluReference = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
