/**
 * Scores to one token per row: top-k, top-p and min-p, then a draw from what is left.
 * Owns the filters, the draw and its bookkeeping; changes no score.
 */
import { ceilDiv, defineKernel, type Kernel, read, readWrite, wgsl, write } from "./kernel.ts";
import { philox, philoxWgsl } from "./philox.ts";
import { normal } from "./probe.ts";
import { bestWgsl, binsWgsl, LANES, orderKeyWgsl } from "./sample-lanes.ts";
import { massWgsl } from "./sample-mass.ts";
import { sampleTiles, TILE } from "./sample-scores.ts";
import {
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

/**
 *   scores [R,V]  tile_argmax [R,tiles] u32  settings [R,16] u32
 *     → picks [R,2] u32  last_token [S] u32 at each row's slot  history [C,V] u32 counted up
 *
 * picks holds (id, number of candidates). Candidates are all scores at or above one threshold, so
 * ties stand or fall together:
 *   top-k  the k highest, and all that equal the k-th;
 *   top-p  those with less than p of the top-k mass strictly above them;
 *   min-p  those with at least min-p times the probability of the likeliest.
 * A greedy row takes the highest score, the lowest id among equals.
 *
 * The draw inverts the cumulative mass with 64 random bits, Philox(seed, position), over tokens in
 * the order (id mod 256, id). Masses are 64-bit integers (sample-mass.ts): their sums are exact, so
 * a token is drawn with its probability to 2^-40 and no order of adding can matter.
 *
 * One workgroup per row. Cost: V reads for the draw, 4·V more with top-k and again with top-p,
 * whatever the scores are; `drawnRows` (not greedy), `topKRows`, `topPRows` and `historyRows` count
 * such rows.
 */
export const sampleDraw: Kernel = defineKernel({
  name: "sample_draw",
  numerics: "sample_draw",
  bindings: {
    scores: read("R,V"),
    tile_argmax: read("R,tiles", "u32"),
    settings: settingsBinding,
    picks: write("R,2", "vec2<u32>"),
    last_token: write("S", "u32"),
    history: readWrite("C,V", "u32"),
  },
  params: { V: "u32", tiles: "u32" },
  wgsl: wgsl`
${settingsWgsl}
${philoxWgsl}
${massWgsl}
${bestWgsl(LANES)}
${binsWgsl}
${orderKeyWgsl}
const TOP_K = 0u;
const TOP_P = 1u;
const DRAW = 2u;
struct Drawn { id: u32, candidates: u32 }
var<workgroup> num_candidates: atomic<u32>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let row = wg.x;
  let settings = row_settings(row);
  // best_of has the barrier that this needs.
  empty_bins(lane);
  if (lane == 0u) { atomicStore(&num_candidates, 0u); }
  var top = Best(-3.4e38, 0u);
  for (var t = lane; t < params.tiles; t += ${LANES}u) {
    let id = load_tile_argmax(row * params.tiles + t);
    top = better(top, Best(load_scores(row * params.V + id), id));
  }
  top = best_of(lane, top.score, top.id);
  var drawn = Drawn(top.id, 1u);
  if (settings.inverse_temperature != 0.0) { drawn = draw(lane, row, settings, top); }
  if (lane == 0u) {
    store_picks(row, vec2<u32>(drawn.id, drawn.candidates));
    store_last_token(settings.slot, drawn.id);
    if (settings.history_row != NONE) {
      let at = settings.history_row * params.V + drawn.id;
      store_history(at, load_history(at) + 1u);
    }
  }
}

// Three searches, 8 bits of the answer at a time. In each pass the items that share the digits
// found so far go to the bin of their next digit, and the bin where the running sum reaches what is
// wanted gives that digit. The order of top_k and top_p is by falling score, that of the draw by
// (id mod 256, id / 256 mod 256, id / 65536): lanes then fill bins of their own, and only one item
// in 256 is left for the second digit. One loop, since compilers pay for every barrier they see.
fn draw(lane: u32, row: u32, settings: Settings, top: Best) -> Drawn {
  let id_digits = 1u + select(0u, 1u, params.V > 0x100u) + select(0u, 1u, params.V > 0x10000u);
  var floor_key = order_key(BANNED) + 1u;
  var id = 0u;
  var candidates = 0u;
  var mass = vec2<u32>(0u);
  var pass_index = 0u;
  for (var search = TOP_K; search <= DRAW; search++) {
    if (search == TOP_K && settings.top_k == 0u) { continue; }
    if (search == TOP_P && settings.top_p == 0u) { continue; }
    if (search == DRAW) { floor_key = max(floor_key, order_key(top.score + settings.log_min_p)); }
    var key = 0u;
    var wanted = vec2<u32>(0u);
    for (var digit = 0u; digit < select(4u, id_digits, search == DRAW); digit++) {
      let key_shift = 24u - 8u * digit;
      let id_shift = select(0u, 8u * digit, search == DRAW);
      for (var base = 0u; base < params.V; base += ${LANES}u << id_shift) {
        let i = base + (lane << id_shift) + id;
        let item = order_key(load_scores(row * params.V + min(i, params.V - 1u)));
        if (i >= params.V || item < floor_key) { continue; }
        var bin = (i >> id_shift) & 255u;
        if (search == DRAW) {
          if (digit == 0u) { candidates += 1u; }
        } else {
          if (digit != 0u && item >> (key_shift + 8u) != key) { continue; }
          bin = 255u - ((item >> key_shift) & 255u);
        }
        var amount = vec2<u32>(1u, 0u);
        if (search != TOP_K) { amount = weight(key_score(item), top.score); }
        add_to_bin(pass_index, bin, amount);
      }
      if (search == DRAW && digit == 0u) { atomicAdd(&num_candidates, candidates); }
      let total = sum_bins(pass_index, lane);
      if (digit == 0u) {
        mass = total;
        wanted = what_is_wanted(search, settings, total);
      }
      let found = find_bin(pass_index, wanted);
      wanted = sub64(wanted, found.before);
      if (search == DRAW) { id += found.bin << id_shift; }
      else { key = (key << 8u) | (255u - found.bin); }
      pass_index += 1u;
    }
    floor_key = max(floor_key, key);
  }
  // Every token banned, or no logit a number: an id that exists.
  if (mass.x == 0u && mass.y == 0u) { return Drawn(top.id, 0u); }
  return Drawn(id, atomicLoad(&num_candidates));
}

// How much of the order a search takes: at least one unit, at most all.
fn what_is_wanted(search: u32, settings: Settings, total: vec2<u32>) -> vec2<u32> {
  var wanted = vec2<u32>(settings.top_k, 0u);
  if (search == TOP_P) {
    wanted = scale64(total, settings.top_p);
    if (wanted.x == 0u && wanted.y == 0u) { wanted.x = 1u; }
  }
  if (search == DRAW) {
    // 1 + floor(total * random / 2^64): each unit of mass is as likely as any other.
    let random = philox(vec4<u32>(settings.position, 0u, 0u, 0u), settings.seed);
    let low = vec2<u32>(scale64(total, random.x).y, 0u);
    wanted = add64(add64(scale64(total, random.y), low), vec2<u32>(1u, 0u));
  }
  if (less64(total, wanted)) { return total; }
  return wanted;
}
`,
  workgroups: ({ R }) => [R, 1, 1],
  cost: ({ R, V, tiles, drawnRows, topKRows, topPRows, historyRows }) => {
    // Items that a pass reads when every lane takes one in 256^digit; past the end too.
    const items = (digit: number) => LANES * ceilDiv(V, LANES ** (digit + 1));
    const thresholdReads = 4 * items(0) * (topKRows + topPRows);
    const drawReads =
      (items(0) + (V > 0x100 ? items(1) : 0) + (V > 0x10000 ? items(2) : 0)) * drawnRows;
    return {
      flops: 20 * V * (topPRows + drawnRows),
      bytes: {
        scores: 4 * (tiles * R + thresholdReads + drawReads),
        tile_argmax: 4 * tiles * R,
        settings: SETTINGS_BYTES * LANES * R,
        picks: 8 * R,
        last_token: 4 * R,
        history: 8 * historyRows,
      },
    };
  },
  reference: ({ scores, settings, picks, last_token, history }, { R, V }) => {
    for (let r = 0; r < R; r++) {
      const row: Float32Array = scores.subarray(r * V, (r + 1) * V);
      const { slot, historyRow, inverseTemperature, ...filters } = unpackSettings(settings, r);
      let id = argmax(row);
      let candidates = 1;
      if (inverseTemperature !== 0) {
        const kept = candidateThreshold(row, filters);
        candidates = row.reduce((count, score) => count + (score >= kept ? 1 : 0), 0);
        const [low, high] = philox([filters.position, 0, 0, 0], filters.seed);
        if (candidates > 0) id = drawAt(row, kept, (high + low / 2 ** 32) / 2 ** 32);
      }
      picks[2 * r] = id;
      picks[2 * r + 1] = candidates;
      last_token[slot] = id;
      if (historyRow !== null) history[historyRow * V + id] += 1;
    }
  },
  probes: [
    { R: 1, V: 61 },
    { R: 4, V: 255 },
    { R: 4, V: 1025 },
    { R: 4, V: 2081 },
    { R: 1, V: 66_000 },
  ].map(probe),
});

function argmax(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i;
  return best;
}

/** The lowest score that survives the filters; infinite when every token is banned. */
function candidateThreshold(
  scores: Float32Array,
  filters: { topK: number; topP: number; logMinP: number },
): number {
  const sorted = scores.filter((score) => score > BANNED).sort();
  sorted.reverse();
  if (sorted.length === 0) return Number.POSITIVE_INFINITY;
  let last = sorted.length - 1;
  if (filters.topK > 0 && filters.topK < sorted.length) {
    last = filters.topK - 1;
    while (sorted[last + 1] === sorted[last]) last++;
  }
  if (filters.topP < 1) {
    const weights = Float64Array.from(sorted.subarray(0, last + 1), (x) => Math.exp(x - sorted[0]));
    const wanted = filters.topP * weights.reduce((sum, weight) => sum + weight, 0);
    last = 0;
    for (let above = weights[0]; last + 1 < weights.length && above < wanted; last++) {
      above += weights[last + 1];
    }
  }
  return Math.max(sorted[last], Math.fround(sorted[0] + filters.logMinP));
}

/** The token at fraction `u` of the mass of all scores from `threshold`, columns of 256 in turn. */
function drawAt(scores: Float32Array, threshold: number, u: number): number {
  const top = scores[argmax(scores)];
  const weights = Float64Array.from(scores, (x) => (x >= threshold ? Math.exp(x - top) : 0));
  let rest = u * weights.reduce((sum, weight) => sum + weight, 0);
  let id = -1;
  for (let column = 0; column < LANES; column++) {
    for (let i = column; i < scores.length; i += LANES) {
      if (weights[i] > 0 && rest >= 0) id = i;
      rest -= weights[i];
    }
  }
  return id;
}

// One row of each kind: top-p, everything together, greedy, temperature alone.
function probe({ R, V }: { R: number; V: number }) {
  const kinds = [
    { historyRow: null, temperature: 1, topK: 0, topP: 0.8, minP: 0 },
    { historyRow: 0, temperature: 1, topK: 40, topP: 0.9, minP: 0.02 },
    { historyRow: 1, temperature: 0, topK: 5, topP: 0.5, minP: 0 },
    { historyRow: null, temperature: 1, topK: 0, topP: 1, minP: 0 },
  ];
  const rows: SamplingSettings[] = kinds.slice(0, R).map((kind, r) => ({
    ...PLAIN,
    ...kind,
    slot: R - 1 - r,
    position: 7 * r,
    seed: 0x1234_5678_9abc_def0n + BigInt(V),
  }));
  const tiles = sampleTiles(V);
  const drawn = rows.filter((row) => row.temperature > 0);
  return {
    dims: {
      R,
      V,
      tiles,
      S: R,
      C: 2,
      drawnRows: drawn.length,
      topKRows: drawn.filter((row) => row.topK > 0).length,
      topPRows: drawn.filter((row) => row.topP < 1).length,
      historyRows: rows.filter((row) => row.historyRow !== null).length,
    },
    inputs: (random: () => number) => {
      const settings = new Uint32Array(R * SETTINGS_WORDS);
      for (const [r, row] of rows.entries()) packSettings(row, settings, r);
      const scores = normal(R * V, random, 2);
      const tile_argmax = new Uint32Array(R * tiles);
      for (let r = 0; r < R; r++) {
        for (let t = 0; t < tiles; t++) {
          const first = r * V + t * TILE;
          const tile = scores.subarray(first, Math.min((r + 1) * V, first + TILE));
          tile_argmax[r * tiles + t] = t * TILE + argmax(tile);
        }
      }
      return { scores, tile_argmax, settings, history: new Uint32Array(2 * V) };
    },
  };
}
