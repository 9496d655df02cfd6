/**
 * Log-probabilities of each row's token and of its likeliest tokens.
 * Owns the log-softmax of raw logits: before bias, penalties and temperature, as vLLM reports them.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { philoxWgsl } from "./philox.ts";
import { normal } from "./probe.ts";
import { bestWgsl, binsWgsl, LANES, orderKeyWgsl } from "./sample-lanes.ts";
import { massWgsl } from "./sample-mass.ts";
import {
  PLAIN,
  packSettings,
  type SamplingSettings,
  SETTINGS_BYTES,
  SETTINGS_WORDS,
  settingsBinding,
  settingsWgsl,
  unpackSettings,
} from "./sample-settings.ts";

/** The most that a request may ask for, as OpenAI's API has it. */
export const MAX_TOP_LOGPROBS = 20;
const ENTRIES = 1 + MAX_TOP_LOGPROBS;
/** Id of an entry that was not asked for; its logprob is 0. */
export const NO_TOKEN = 0xffffffff;

/**
 *   logits [R,V]  settings [R,16] u32  picks [R,2] u32 → top_ids [R,21] u32  top_logprobs [R,21]
 *
 * Entry 0 is the row's sampled token, then come its `topLogprobs` likeliest tokens, highest first,
 * the lowest id first among equals; the rest is `NO_TOKEN`. All 21 are written for every row.
 * Cost: 2·V reads for a row with logprobs (`logprobRows`), 8·V more where the likeliest are wanted
 * (`topRows`): radix select as in sample-draw.ts, by score and then, among equals, by id.
 */
export const sampleLogprobs: Kernel = defineKernel({
  name: "sample_logprobs",
  numerics: "sample_logprobs",
  bindings: {
    logits: read("R,V"),
    settings: settingsBinding,
    picks: read("R,2", "vec2<u32>"),
    top_ids: write(`R,${ENTRIES}`, "u32"),
    top_logprobs: write(`R,${ENTRIES}`),
  },
  params: { V: "u32" },
  wgsl: wgsl`
${settingsWgsl}
${philoxWgsl}
${massWgsl}
${bestWgsl(LANES)}
${binsWgsl}
${orderKeyWgsl}
const NO_TOKEN = ${NO_TOKEN}u;
var<workgroup> num_found: atomic<u32>;
var<workgroup> found: array<Best, ${MAX_TOP_LOGPROBS}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let row = wg.x;
  let settings = row_settings(row);
  if (settings.top_logprobs == NONE) {
    if (lane < ${ENTRIES}u) { store_entry(row, lane, NO_TOKEN, 0.0); }
    return;
  }
  // best_of has the barrier that this needs.
  empty_bins(lane);
  if (lane == 0u) { atomicStore(&num_found, 0u); }
  var top = Best(-3.4e38, 0u);
  for (var i = lane; i < params.V; i += ${LANES}u) { top = better(top, Best(logit(row, i), i)); }
  top = best_of(lane, top.score, top.id);

  // Pass 0 sums the mass, 1 to 4 find the score of the last token wanted, 5 to 7 the last id among
  // those that have this score.
  let passes = select(8u, 1u, settings.top_logprobs == 0u);
  var log_mass = 0.0;
  var last_key = 0u;
  var last_id = 0u;
  var wanted = vec2<u32>(min(settings.top_logprobs, params.V), 0u);
  for (var pass_index = 0u; pass_index < passes; pass_index++) {
    let by_id = pass_index > 4u;
    let shift = select(32u, 56u, by_id) - 8u * pass_index;
    for (var i = lane; i < params.V; i += ${LANES}u) {
      let score = logit(row, i);
      let key = order_key(score);
      var bin = lane;
      var amount = vec2<u32>(1u, 0u);
      if (pass_index == 0u) {
        amount = weight(score, top.score);
      } else if (by_id) {
        if (key != last_key || i >> (shift + 8u) != last_id) { continue; }
        bin = (i >> shift) & 255u;
      } else {
        if (pass_index > 1u && key >> (shift + 8u) != last_key) { continue; }
        bin = 255u - ((key >> shift) & 255u);
      }
      add_to_bin(pass_index, bin, amount);
    }
    let total = sum_bins(pass_index, lane);
    if (pass_index == 0u) {
      log_mass = log(f32(total.y) / 256.0 + f32(total.x) * 0x1p-40f);
      continue;
    }
    let next = find_bin(pass_index, wanted);
    wanted = sub64(wanted, next.before);
    if (by_id) { last_id = (last_id << 8u) | next.bin; }
    else { last_key = (last_key << 8u) | (255u - next.bin); }
  }

  if (lane == 0u) {
    let id = load_picks(row).x;
    store_entry(row, 0u, id, logit(row, id) - top.score - log_mass);
  }
  if (settings.top_logprobs != 0u) {
    for (var i = lane; i < params.V; i += ${LANES}u) {
      let score = logit(row, i);
      let key = order_key(score);
      if (key > last_key || (key == last_key && i <= last_id)) {
        let slot = atomicAdd(&num_found, 1u);
        if (slot < ${MAX_TOP_LOGPROBS}u) { found[slot] = Best(score, i); }
      }
    }
  }
  workgroupBarrier();
  let count = min(atomicLoad(&num_found), ${MAX_TOP_LOGPROBS}u);
  if (lane >= ${MAX_TOP_LOGPROBS}u) { return; }
  if (lane >= count) { store_entry(row, 1u + lane, NO_TOKEN, 0.0); return; }
  let mine = found[lane];
  var place = 1u;
  for (var i = 0u; i < count; i++) {
    if (i != lane && better(mine, found[i]).id != mine.id) { place += 1u; }
  }
  store_entry(row, place, mine.id, mine.score - top.score - log_mass);
}

fn logit(row: u32, i: u32) -> f32 { return load_logits(row * params.V + i); }

fn store_entry(row: u32, entry: u32, id: u32, logprob: f32) {
  store_top_ids(row * ${ENTRIES}u + entry, id);
  store_top_logprobs(row * ${ENTRIES}u + entry, logprob);
}
`,
  workgroups: ({ R }) => [R, 1, 1],
  cost: ({ R, V, logprobRows, topRows }) => ({
    flops: 20 * V * logprobRows,
    bytes: {
      logits: 4 * ((2 * V + 1) * logprobRows + 8 * V * topRows),
      settings: SETTINGS_BYTES * LANES * R,
      picks: 8 * logprobRows,
      top_ids: 4 * ENTRIES * R,
      top_logprobs: 4 * ENTRIES * R,
    },
  }),
  reference: ({ logits, settings, picks, top_ids, top_logprobs }, { R, V }) => {
    for (let r = 0; r < R; r++) {
      const row: Float32Array = logits.subarray(r * V, (r + 1) * V);
      const { topLogprobs } = unpackSettings(settings, r);
      top_ids.fill(NO_TOKEN, r * ENTRIES, (r + 1) * ENTRIES);
      top_logprobs.fill(0, r * ENTRIES, (r + 1) * ENTRIES);
      if (topLogprobs === null) continue;
      // Array.sort is stable: the lowest id stays first among equals.
      const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a]);
      const top = row[order[0]];
      const logMass = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
      const ids = [picks[2 * r], ...order.slice(0, topLogprobs)];
      for (const [e, id] of ids.entries()) {
        top_ids[r * ENTRIES + e] = id;
        top_logprobs[r * ENTRIES + e] = row[id] - top - logMass;
      }
    }
  },
  probes: [
    { R: 1, V: 17, step: 0 },
    { R: 3, V: 257, step: 0.5 },
    { R: 3, V: 1025, step: 0 },
    { R: 1, V: 66_000, step: 1 },
  ].map(probe),
});

// Rows that want 20, none but their own, and nothing; `step` rounds logits so that many are equal.
function probe({ R, V, step }: { R: number; V: number; step: number }) {
  const rows: SamplingSettings[] = [20, 0, null].slice(0, R).map((topLogprobs, slot) => ({
    ...PLAIN,
    topLogprobs,
    slot,
  }));
  return {
    dims: { R, V, logprobRows: Math.min(R, 2), topRows: 1 },
    inputs: (random: () => number) => {
      const settings = new Uint32Array(R * SETTINGS_WORDS);
      for (const [r, row] of rows.entries()) packSettings(row, settings, r);
      const logits = normal(R * V, random, 3);
      const picks = Uint32Array.from({ length: 2 * R }, (_, i) => (i * 997) % V);
      if (step > 0)
        for (let i = 0; i < logits.length; i++) logits[i] = step * Math.round(logits[i] / step);
      return { logits, settings, picks };
    },
  };
}
