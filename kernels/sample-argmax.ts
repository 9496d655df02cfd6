/**
 * The likeliest token of each row, for steps in which every row is greedy and changes no score.
 * Its slow twin is sample-scores.ts followed by sample-draw.ts, which give the same ids.
 */
import { defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { bestWgsl, LANES } from "./sample-lanes.ts";
import { SETTINGS_WORDS, settingsBinding } from "./sample-settings.ts";

/**
 *   logits [R,V]  settings [R,16] u32 (the slot alone) → picks [R,2] u32  last_token [S] u32
 *
 * picks holds (id, 1); the lowest id among equals. One workgroup per row, one pass: memory-bound.
 */
export const sampleArgmax: Kernel = defineKernel({
  name: "sample_argmax",
  numerics: "sample_draw",
  bindings: {
    logits: read("R,V"),
    settings: settingsBinding,
    picks: write("R,2", "vec2<u32>"),
    last_token: write("S", "u32"),
  },
  params: { V: "u32" },
  wgsl: wgsl`
${bestWgsl(LANES)}
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let row = wg.x;
  var best = Best(-3.4e38, 0u);
  for (var i = lane; i < params.V; i += ${LANES}u) {
    best = better(best, Best(load_logits(row * params.V + i), i));
  }
  best = best_of(lane, best.score, best.id);
  if (lane == 0u) {
    store_picks(row, vec2<u32>(best.id, 1u));
    store_last_token(load_settings(row * 4u).x, best.id);
  }
}
`,
  workgroups: ({ R }) => [R, 1, 1],
  cost: ({ R, V }) => ({
    flops: R * V,
    bytes: { logits: 4 * R * V, settings: 16 * R, picks: 8 * R, last_token: 4 * R },
  }),
  reference: ({ logits, settings, picks, last_token }, { R, V }) => {
    for (let r = 0; r < R; r++) {
      let best = 0;
      for (let i = 1; i < V; i++) if (logits[r * V + i] > logits[r * V + best]) best = i;
      picks[2 * r] = best;
      picks[2 * r + 1] = 1;
      last_token[settings[SETTINGS_WORDS * r]] = best;
    }
  },
  probes: [
    { R: 1, V: 33 },
    { R: 2, V: 257 },
    { R: 3, V: 1025 },
  ].map(({ R, V }) => ({
    dims: { R, V, S: R + 1 },
    inputs: (random) => {
      const settings = new Uint32Array(R * SETTINGS_WORDS);
      for (let r = 0; r < R; r++) settings[r * SETTINGS_WORDS] = R - r;
      // Few distinct values: the highest is a tie.
      const logits = normal(R * V, random, 2).map(Math.round);
      return { logits, settings };
    },
  })),
});
