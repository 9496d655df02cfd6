/** Gated short convolution over the last L tokens of a sequence, each dim by itself (LFM2). */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";
import { CONV_LANES, convolutionSizes, probeTapSlots } from "./short-conv-write.ts";

/**
 *   projected [T,3*D]: b, c and x  tap_slots [T,L] u32  pool [P,B,D]: b · x  taps [D,L]  bias [D]?
 *   → out [T,D],  out = c · (Σ_k taps_k · pool[slot_k] + bias), k ascending, from the oldest token
 *
 * Slot 0, in the block that nobody has, stands for a token before the first: it counts as zero. All rows
 * of a plan are written before (`short_conv_write`), so one kernel serves decode and prefill; sums are
 * `fma` ascending from 0. One thread per quad of dims.
 * Cost: 9·T·L·D + 8·T·D bytes: memory-bound.
 * @see Liquid AI, arXiv:2511.23404 (LFM2).
 */
export const shortConv = ({ bias }: { readonly bias: boolean }): Kernel =>
  bias ? kernels.bias : kernels.plain;

const build = (bias: boolean): Kernel =>
  defineKernel({
    name: `short_conv${bias ? ".bias" : ""}`,
    numerics: `short_conv/taps${bias ? "/bias" : ""}`,
    bindings: {
      projected: read("T,3*D", "vec4<f32>"),
      tap_slots: read("T,L", "u32"),
      pool: read("P,B,D", "vec4<f32>"),
      taps: read("D,L"),
      ...(bias && { bias: read("D", "vec4<f32>") }),
      out: write("T,D", "vec4<f32>"),
    },
    params: { D: "u32", L: "u32" },
    wgsl: wgsl`
fn tap(column: u32, k: u32) -> vec4<f32> {
  let at = 4u * column * params.L + k;
  return vec4<f32>(
    load_taps(at),
    load_taps(at + params.L),
    load_taps(at + 2u * params.L),
    load_taps(at + 3u * params.L),
  );
}

@compute @workgroup_size(${CONV_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let quads = params.D / 4u;
  let column = wg.x * ${CONV_LANES}u + lid.x;
  let row = wg.y;
  if (column >= quads) { return; }
  var sum = vec4<f32>();
  for (var k = 0u; k < params.L; k++) {
    let slot = load_tap_slots(row * params.L + k);
    // What block 0 holds is anything.
    let kept = load_pool(slot * quads + column);
    sum = fma(tap(column, k), select(kept, vec4<f32>(), slot == 0u), sum);
  }
  let gate = load_projected((3u * row + 1u) * quads + column);
  store_out(row * quads + column, gate * ${bias ? "(sum + load_bias(column))" : "sum"});
}
`,
    workgroups: ({ T, D }) => [ceilDiv(D / 4, CONV_LANES), T, 1],
    cost: ({ T, D, L }) => ({
      flops: T * D * (2 * L + 1),
      bytes: {
        projected: 4 * T * D,
        tap_slots: T * L * D,
        pool: 4 * T * L * D,
        taps: 4 * T * L * D,
        ...(bias && { bias: 4 * T * D }),
        out: 4 * T * D,
      },
    }),
    reference: (io, { T, D, L }) => {
      for (let t = 0; t < T; t++) {
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let k = 0; k < L; k++) {
            const slot = io.tap_slots[t * L + k];
            if (slot > 0) sum += io.taps[d * L + k] * io.pool[slot * D + d];
          }
          io.out[t * D + d] = io.projected[(3 * t + 1) * D + d] * (sum + (bias ? io.bias[d] : 0));
        }
      }
    },
    probes: convolutionSizes.map((dims) => ({
      dims,
      inputs: (random) => ({
        projected: normal(dims.T * 3 * dims.D, random),
        tap_slots: probeTapSlots(dims, random),
        pool: normal(dims.P * dims.B * dims.D, random),
        taps: normal(dims.D * dims.L, random),
        ...(bias && { bias: normal(dims.D, random) }),
      }),
    })),
  });

const kernels = { plain: build(false), bias: build(true) };
