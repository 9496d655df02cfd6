/**
 * What the 256 lanes of a sampling workgroup do together: find the best score, and the bin at which
 * a count or a mass is reached. WGSL fragments; no kernel of its own.
 */
import { wgsl } from "./kernel.ts";

export const LANES = 256;

/**
 * `best_of(lane, score, id)`: the highest score of all lanes, the lowest id among equals.
 * Two levels, so two barriers where a binary tree has eight. The loops start at a lane's own
 * place, so that no compiler unrolls them: unrolled, the draw takes llvmpipe twice as long to build.
 */
export const bestWgsl = (lanes: 64 | 256): string => wgsl`
struct Best { score: f32, id: u32 }
var<workgroup> lane_best: array<Best, ${lanes}>;
var<workgroup> group_best: array<Best, ${lanes / 16}>;

fn better(a: Best, b: Best) -> Best {
  if (b.score > a.score || (b.score == a.score && b.id < a.id)) { return b; }
  return a;
}

fn best_of(lane: u32, score: f32, id: u32) -> Best {
  lane_best[lane] = Best(score, id);
  workgroupBarrier();
  if (lane < ${lanes / 16}u) {
    var best = lane_best[lane * 16u];
    for (var i = lane * 16u; i < lane * 16u + 16u; i++) { best = better(best, lane_best[i]); }
    group_best[lane] = best;
  }
  workgroupBarrier();
  var best = group_best[0];
  for (var i = lane; i < lane + ${lanes / 16}u; i++) { best = better(best, group_best[i % ${lanes / 16}u]); }
  return best;
}
`;

/**
 * 256 bins of mass in which a search finds its next digit. Two sets, for even and odd passes: while
 * one is read, the other is emptied.
 *   empty_bins(lane)                     both sets, a barrier before the first pass
 *   add_to_bin(pass_index, bin, amount)  any lane, any bin: integers, so in any order
 *   sum_bins(pass_index, lane)           what all bins hold
 *   find_bin(pass_index, wanted)         the first bin up to which all together hold what is wanted,
 *                                        more than nothing and at most the sum; and what lies before
 */
export const binsWgsl: string = wgsl`
struct FoundBin { bin: u32, before: vec2<u32> }
var<workgroup> bin_low: array<atomic<u32>, 512>;
var<workgroup> bin_high: array<atomic<u32>, 512>;
var<workgroup> group_amounts: array<vec2<u32>, 16>;

fn empty_bins(lane: u32) {
  for (var b = lane; b < 512u; b += ${LANES}u) {
    atomicStore(&bin_low[b], 0u);
    atomicStore(&bin_high[b], 0u);
  }
}
fn add_to_bin(pass_index: u32, bin: u32, amount: vec2<u32>) {
  let b = (pass_index & 1u) * 256u + bin;
  let low = atomicAdd(&bin_low[b], amount.x);
  let high = amount.y + select(0u, 1u, low + amount.x < low);
  if (high != 0u) { atomicAdd(&bin_high[b], high); }
}
fn bin_amount(b: u32) -> vec2<u32> {
  return vec2<u32>(atomicLoad(&bin_low[b]), atomicLoad(&bin_high[b]));
}

fn sum_bins(pass_index: u32, lane: u32) -> vec2<u32> {
  let first = (pass_index & 1u) * 256u;
  workgroupBarrier();
  if (lane < 16u) {
    let start = first + lane * 16u;
    var sum = vec2<u32>(0u);
    for (var b = start; b < start + 16u; b++) { sum = add64(sum, bin_amount(b)); }
    group_amounts[lane] = sum;
  }
  for (var b = lane; b < 256u; b += ${LANES}u) {
    atomicStore(&bin_low[256u - first + b], 0u);
    atomicStore(&bin_high[256u - first + b], 0u);
  }
  workgroupBarrier();
  var total = vec2<u32>(0u);
  for (var i = lane; i < lane + 16u; i++) { total = add64(total, group_amounts[i & 15u]); }
  return total;
}

// Every lane walks the same groups and bins: cheaper than a barrier to tell one lane's answer.
fn find_bin(pass_index: u32, wanted: vec2<u32>) -> FoundBin {
  var before = vec2<u32>(0u);
  var group = 0u;
  while (group < 15u && less64(add64(before, group_amounts[group]), wanted)) {
    before = add64(before, group_amounts[group]);
    group += 1u;
  }
  let first = (pass_index & 1u) * 256u;
  var bin = group * 16u;
  while (bin < group * 16u + 15u && less64(add64(before, bin_amount(first + bin)), wanted)) {
    before = add64(before, bin_amount(first + bin));
    bin += 1u;
  }
  return FoundBin(bin, before);
}
`;

/** Floats as integers of the same order, and back; -0 is 0. */
export const orderKeyWgsl: string = wgsl`
fn order_key(x: f32) -> u32 {
  let bits = select(bitcast<u32>(x), 0u, x == 0.0);
  return bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
}
fn key_score(key: u32) -> f32 {
  return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key >= 0x80000000u));
}
`;
