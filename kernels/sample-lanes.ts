/**
 * What the 256 lanes of a sampling workgroup do together: find the best score, and the bin at which
 * a count or a mass is reached. WGSL fragments; no kernel of its own.
 */
import { wgsl } from "./kernel.ts";

export const LANES = 256;

/**
 * `best_of(lane, score, id)`: the highest score of all lanes, the lowest id among equals.
 * Two levels of 16, so two barriers where a binary tree has eight. The loops start at a lane's own
 * place, so that no compiler unrolls them: unrolled, the draw takes llvmpipe twice as long to build.
 */
export const bestWgsl: string = wgsl`
struct Best { score: f32, id: u32 }
var<workgroup> lane_best: array<Best, ${LANES}>;
var<workgroup> group_best: array<Best, 16>;

fn better(a: Best, b: Best) -> Best {
  if (b.score > a.score || (b.score == a.score && b.id < a.id)) { return b; }
  return a;
}

fn best_of(lane: u32, score: f32, id: u32) -> Best {
  lane_best[lane] = Best(score, id);
  workgroupBarrier();
  if (lane < 16u) {
    var best = lane_best[lane * 16u];
    for (var i = lane * 16u; i < lane * 16u + 16u; i++) { best = better(best, lane_best[i]); }
    group_best[lane] = best;
  }
  workgroupBarrier();
  var best = group_best[0];
  for (var i = lane; i < lane + 16u; i++) { best = better(best, group_best[i & 15u]); }
  return best;
}
`;

/**
 * 256 bins of mass, one per lane, in which a search finds its next digit. Two sets, for even and
 * odd passes: while one is read, the other is emptied.
 *   add_to_bin(pass, bin, amount)   any lane, any bin: integers, so in any order
 *   sum_bins(pass, lane)            what this lane's bin holds, the bins before it, and all bins
 *   find_bin(lane, sums, wanted)    the first bin up to which all together hold what is wanted,
 *                                   which must be more than nothing and at most the total
 */
export const binsWgsl: string = wgsl`
struct BinSums { mine: vec2<u32>, before: vec2<u32>, total: vec2<u32> }
struct FoundBin { bin: u32, before: vec2<u32> }
var<workgroup> bin_low: array<atomic<u32>, ${2 * LANES}>;
var<workgroup> bin_high: array<atomic<u32>, ${2 * LANES}>;
var<workgroup> group_amounts: array<vec2<u32>, 16>;
var<workgroup> found_bin: FoundBin;

fn add_to_bin(pass_index: u32, bin: u32, amount: vec2<u32>) {
  let b = (pass_index & 1u) * ${LANES}u + bin;
  let low = atomicAdd(&bin_low[b], amount.x);
  let high = amount.y + select(0u, 1u, low + amount.x < low);
  if (high != 0u) { atomicAdd(&bin_high[b], high); }
}
fn bin_amount(b: u32) -> vec2<u32> {
  return vec2<u32>(atomicLoad(&bin_low[b]), atomicLoad(&bin_high[b]));
}

fn sum_bins(pass_index: u32, lane: u32) -> BinSums {
  let first = (pass_index & 1u) * ${LANES}u;
  workgroupBarrier();
  if (lane < 16u) {
    let start = first + lane * 16u;
    var sum = vec2<u32>(0u);
    for (var b = start; b < start + 16u; b++) { sum = add64(sum, bin_amount(b)); }
    group_amounts[lane] = sum;
  }
  atomicStore(&bin_low[${LANES}u - first + lane], 0u);
  atomicStore(&bin_high[${LANES}u - first + lane], 0u);
  workgroupBarrier();
  let group = lane / 16u;
  var before = vec2<u32>(0u);
  for (var g = 0u; g < group; g++) { before = add64(before, group_amounts[g]); }
  var total = before;
  for (var g = group; g < 16u; g++) { total = add64(total, group_amounts[g]); }
  for (var b = group * 16u; b < lane; b++) { before = add64(before, bin_amount(first + b)); }
  return BinSums(bin_amount(first + lane), before, total);
}

fn find_bin(lane: u32, sums: BinSums, wanted: vec2<u32>) -> FoundBin {
  if (less64(sums.before, wanted) && !less64(add64(sums.before, sums.mine), wanted)) {
    found_bin = FoundBin(lane, sums.before);
  }
  workgroupBarrier();
  return found_bin;
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
