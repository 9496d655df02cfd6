/**
 * Logits to scores: what may not come, logit bias, then penalties, then temperature, as vLLM and
 * transformers order them. Owns what changes a score by itself; filters that compare scores are sample-draw.ts.
 */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { IN_PROMPT, OUTPUT_COUNT } from "./sample-history.ts";
import { bestWgsl } from "./sample-lanes.ts";
import {
  BAN_BIAS,
  BANNED,
  PLAIN,
  packSettings,
  type SamplingSettings,
  SETTINGS_BYTES,
  SETTINGS_WORDS,
  settingsBinding,
  settingsWgsl,
  unpackSettings,
} from "./sample-settings.ts";

/** Tokens per workgroup. */
export const TILE = 1024;
// Not more: software drivers pay for each lane at each barrier.
const LANES = 64;

/** Words of a row of `mask`, the dim `W`: token i is bit i % 32 of word i / 32. */
export const maskWords = (V: number): number => ceilDiv(V, 32);

/** Workgroups per row, the dim `tiles`. */
export const sampleTiles = (V: number): number => ceilDiv(V, TILE);

/**
 *   logits [R,V]  settings [R,16] u32  bias [B,2] u32  history [C,V] u32  mask [R,W] u32
 *     → scores [R,V]  tile_argmax [R,tiles] u32
 *
 * A bias entry is (token, f32 bits), tokens unique within a request; -100 or less bans the token. So does a bit that is 0 in the mask of a
 * row that has one.
 * Repetition divides a positive score and multiplies a negative one, over prompt and output;
 * frequency and presence are subtracted, over the output alone. A greedy row keeps temperature 1.
 * tile_argmax is the best token of each 1,024, the lowest id among equals.
 * Cost: one pass over V; exact bytes need `historyRows`, the rows with penalties, and
 * `biasEntries`, the sum of bias counts over rows (each workgroup of a row reads its list), and
 * `maskedRows`; what a mask bans of a row with penalties reads no history.
 * @see Repetition: CTRL, arXiv:1909.05858 §4.1; frequency and presence: OpenAI API reference.
 */
export const sampleScores: Kernel = defineKernel({
  name: "sample_scores",
  numerics: "sample_scores",
  bindings: {
    logits: read("R,V"),
    settings: settingsBinding,
    bias: read("B,2", "vec2<u32>"),
    history: read("C,V", "u32"),
    mask: read("R,W", "u32"),
    scores: write("R,V"),
    tile_argmax: write("R,tiles", "u32"),
  },
  params: { V: "u32", W: "u32", tiles: "u32" },
  wgsl: wgsl`
${settingsWgsl}
${bestWgsl(LANES)}
var<workgroup> tile: array<f32, ${TILE}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let row = wg.y;
  let settings = row_settings(row);
  let first = wg.x * ${TILE}u;
  let count = min(${TILE}u, params.V - first);
  for (var i = lane; i < count; i += ${LANES}u) { tile[i] = load_logits(row * params.V + first + i); }
  if (settings.bias_count > 0u) {
    workgroupBarrier();
    for (var e = lane; e < settings.bias_count; e += ${LANES}u) {
      let entry = load_bias(settings.bias_at + e);
      let i = entry.x - first;
      if (i < count) {
        let bias = bitcast<f32>(entry.y);
        tile[i] = select(tile[i] + bias, BANNED, bias <= ${BAN_BIAS}.0);
      }
    }
    workgroupBarrier();
  }
  if (settings.masked != 0u) {
    workgroupBarrier();
    for (var w = lane; 32u * w < count; w += ${LANES}u) {
      let word = load_mask(row * params.W + first / 32u + w);
      for (var b = 0u; b < min(32u, count - 32u * w); b += 1u) {
        if (((word >> b) & 1u) == 0u) { tile[32u * w + b] = BANNED; }
      }
    }
    workgroupBarrier();
  }
  var scale = settings.inverse_temperature;
  if (scale == 0.0) { scale = 1.0; }
  var best = Best(-3.4e38, first);
  for (var i = lane; i < count; i += ${LANES}u) {
    var score = tile[i];
    if (score != BANNED) {
      if (settings.history_row != NONE) {
        let seen = load_history(settings.history_row * params.V + first + i);
        let outputs = seen & ${OUTPUT_COUNT}u;
        if (seen != 0u) {
          score = select(score * settings.repetition, score / settings.repetition, score > 0.0);
        }
        if (outputs != 0u) { score -= settings.frequency * f32(outputs) + settings.presence; }
      }
      score *= scale;
    }
    store_scores(row * params.V + first + i, score);
    best = better(best, Best(score, first + i));
  }
  best = best_of(lane, best.score, best.id);
  if (lane == 0u) { store_tile_argmax(row * params.tiles + wg.x, best.id); }
}
`,
  workgroups: ({ R, tiles }) => [tiles, R, 1],
  cost: ({ R, V, W, tiles, historyRows, biasEntries, maskedRows }) => ({
    flops: 5 * R * V,
    bytes: {
      logits: 4 * R * V,
      settings: SETTINGS_BYTES * LANES * R * tiles,
      bias: 8 * biasEntries * tiles,
      history: 4 * historyRows * V,
      mask: 4 * maskedRows * W,
      scores: 4 * R * V,
      tile_argmax: 4 * R * tiles,
    },
  }),
  reference: (
    { logits, settings, bias, history, mask, scores, tile_argmax },
    { R, V, W, tiles },
  ) => {
    const biasValues = new Float32Array(bias.buffer, bias.byteOffset, bias.length);
    for (let r = 0; r < R; r++) {
      const row = unpackSettings(settings, r);
      const { historyRow, repetitionPenalty, presencePenalty, frequencyPenalty } = row;
      const out = Float64Array.from(logits.subarray(r * V, (r + 1) * V));
      for (let e = row.biasAt; e < row.biasAt + row.biasCount; e++) {
        const value = biasValues[2 * e + 1];
        out[bias[2 * e]] = value <= BAN_BIAS ? BANNED : out[bias[2 * e]] + value;
      }
      for (let i = 0; i < V; i++) {
        if (row.isMasked && !((mask[r * W + (i >> 5)] >> (i & 31)) & 1)) out[i] = BANNED;
        if (out[i] !== BANNED) {
          const seen = historyRow === null ? 0 : history[historyRow * V + i];
          const outputs = seen & OUTPUT_COUNT;
          if (seen !== 0) out[i] *= out[i] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
          if (outputs !== 0) out[i] -= frequencyPenalty * outputs + presencePenalty;
          out[i] *= row.inverseTemperature || 1;
        }
        scores[r * V + i] = out[i];
      }
      for (let t = 0; t < tiles; t++) {
        let best = t * TILE;
        for (let i = best + 1; i < Math.min(V, (t + 1) * TILE); i++) {
          if (scores[r * V + i] > scores[r * V + best]) best = i;
        }
        tile_argmax[r * tiles + t] = best;
      }
    }
  },
  probes: [
    { R: 1, V: 33 },
    { R: 2, V: 1023 },
    { R: 3, V: 1025 },
    { R: 2, V: 2100 },
  ].map(probe),
});

// Row 0 has a bias and a mask, row 1 penalties alone, row 2 bias and penalties, and is greedy.
function probe({ R, V }: { R: number; V: number }) {
  const C = 2;
  const B = 7;
  const rows: SamplingSettings[] = Array.from({ length: R }, (_, r) => ({
    ...PLAIN,
    slot: r,
    historyRow: r === 0 ? null : r - 1,
    biasAt: r,
    biasCount: r === 1 ? 0 : 4,
    repetitionPenalty: 1.25,
    presencePenalty: 0.5,
    frequencyPenalty: 0.375,
    temperature: r === 2 ? 0 : 0.75,
    isMasked: r === 0,
  }));
  const historyRows = rows.filter((row) => row.historyRow !== null).length;
  const biasEntries = rows.reduce((sum, row) => sum + row.biasCount, 0);
  const maskedRows = rows.filter((row) => row.isMasked).length;
  const W = maskWords(V);
  return {
    dims: { R, V, W, B, C, tiles: sampleTiles(V), historyRows, biasEntries, maskedRows },
    inputs: (random: () => number) => {
      const settings = new Uint32Array(R * SETTINGS_WORDS);
      for (const [r, row] of rows.entries()) packSettings(row, settings, r);
      return {
        logits: normal(R * V, random, 4),
        settings,
        bias: packBias(Array.from({ length: B }, (_, e) => [(e * 401) % V, e - 2.5])),
        history: historyWords(C * V, random),
        mask: Uint32Array.from({ length: R * W }, () => random() * 2 ** 32),
      };
    },
  };
}

/** Entries of the bias pool: (token, bits of the f32 bias). */
export function packBias(entries: readonly (readonly [number, number])[]): Uint32Array {
  const words = new Uint32Array(2 * entries.length);
  const floats = new Float32Array(words.buffer);
  for (const [e, [token, bias]] of entries.entries()) {
    words[2 * e] = token;
    floats[2 * e + 1] = bias;
  }
  return words;
}

function historyWords(count: number, random: () => number): Uint32Array {
  return Uint32Array.from({ length: count }, () => {
    const outputs = random() < 0.2 ? Math.ceil(3 * random()) : 0;
    return outputs + (random() < 0.3 ? IN_PROMPT : 0);
  });
}
