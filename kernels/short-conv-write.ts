/** Scatter of a gated short convolution's inputs into the block pool: what its taps read. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

export const CONV_LANES = 64;

/** Of the probes of both kernels. */
export const convolutionSizes = [
  { T: 1, D: 32, L: 3, P: 2, B: 16 },
  { T: 5, D: 96, L: 4, P: 3, B: 32 },
  { T: 2, D: 288, L: 1, P: 3, B: 16 },
] as const;

/**
 *   projected [T,3*D]: b, c and x  tap_slots [T,L] u32  → pool [P,B,D],  row of the last slot = b · x
 *
 * A slot is block·B + offset, as in the KV cache; f32, so that a token's taps see the same bits whether
 * this plan computed them or an earlier one. One thread per quad of dims.
 * Cost: 13·T·D bytes: memory-bound. Two rows with one slot race.
 */
export const shortConvWrite: Kernel = defineKernel({
  name: "short_conv_write",
  numerics: "short_conv_write/f32",
  bindings: {
    projected: read("T,3*D", "vec4<f32>"),
    tap_slots: read("T,L", "u32"),
    pool: write("P,B,D", "vec4<f32>"),
  },
  params: { D: "u32", L: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${CONV_LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let quads = params.D / 4u;
  let column = wg.x * ${CONV_LANES}u + lid.x;
  if (column >= quads) { return; }
  let slot = load_tap_slots((wg.y + 1u) * params.L - 1u);
  let at = wg.y * 3u * quads + column;
  store_pool(slot * quads + column, load_projected(at) * load_projected(at + 2u * quads));
}
`,
  workgroups: ({ T, D }) => [ceilDiv(D / 4, CONV_LANES), T, 1],
  cost: ({ T, D }) => ({
    flops: T * D,
    bytes: { projected: 8 * T * D, tap_slots: T * D, pool: 4 * T * D },
  }),
  reference: ({ projected, tap_slots, pool }, { T, D, L }) => {
    for (let t = 0; t < T; t++) {
      const slot = tap_slots[t * L + L - 1];
      for (let d = 0; d < D; d++) {
        pool[slot * D + d] = projected[3 * t * D + d] * projected[(3 * t + 2) * D + d];
      }
    }
  },
  // One product, rounded once: the same everywhere.
  tolerance: 0,
  probes: convolutionSizes.map((dims) => ({
    dims,
    inputs: (random) => ({
      projected: normal(dims.T * 3 * dims.D, random),
      tap_slots: probeTapSlots(dims, random),
    }),
  })),
});

/**
 * As if each row continued a sequence of its own: slots anywhere but in block 0, the last distinct;
 * the first row's sequence begins with it, so 0 stands where it has no token.
 */
export function probeTapSlots(
  { T, L, P, B }: Readonly<Record<"T" | "L" | "P" | "B", number>>,
  random: () => number,
): Uint32Array {
  return Uint32Array.from({ length: T * L }, (_, i) => {
    const [t, tap] = [Math.floor(i / L), i % L];
    if (tap === L - 1) return B + ((t * (B + 1)) % ((P - 1) * B));
    return t === 0 ? 0 : B + Math.floor(random() * (P - 1) * B);
  });
}
