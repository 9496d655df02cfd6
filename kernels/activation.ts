/** Gated activations: shared fragments, and the unfused twin of the gated matrix epilogues. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { normal } from "./probe.ts";

export type Activation = "silu" | "gelu_tanh" | "clamped_swiglu";

interface ActivationSource {
  /** `fn gated(gate, up)`. */
  readonly wgsl: string;
  readonly reference: (gate: number, up: number) => number;
}

export const activations: Readonly<Record<Activation, ActivationSource>> = {
  silu: {
    // exp overflows to infinity for x < -88, and x / infinity is the right answer, zero; but WGSL
    // may assume that infinity never occurs, so the argument is kept where exp is finite.
    wgsl: wgsl`fn gated(gate: f32, up: f32) -> f32 { return gate / (1.0 + exp(min(-gate, 80.0))) * up; }`,
    reference: (gate, up) => (gate / (1 + Math.exp(-gate))) * up,
  },
  gelu_tanh: {
    wgsl: wgsl`fn gated(gate: f32, up: f32) -> f32 {
  let inner = 0.7978845608028654 * fma(0.044715 * gate * gate, gate, gate);
  return 0.5 * gate * (1.0 + tanh(clamp(inner, -15.0, 15.0))) * up;
}`,
    reference: (gate, up) =>
      0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))) * up,
  },
  // Of gpt-oss, whose limit and slope are fixed.
  clamped_swiglu: {
    wgsl: wgsl`fn gated(gate: f32, up: f32) -> f32 {
  let low = min(gate, 7.0);
  return (clamp(up, -7.0, 7.0) + 1.0) * (low / (1.0 + exp(min(-1.702 * low, 80.0))));
}`,
    reference: (gate, up) => {
      const low = Math.min(gate, 7);
      return (Math.max(-7, Math.min(7, up)) + 1) * (low / (1 + Math.exp(-1.702 * low)));
    },
  },
};

const LANES = 64;

/**
 *   gate_up [T,2*F]  → out [T,F],  out = gated(gate, up), gate in the first F columns
 *
 * Cost: 12·T·F bytes: memory-bound. The matrix kernels do this in their epilogue instead.
 * @see Shazeer, arXiv:2002.05202 (GLU variants).
 */
export const gatedActivation = (activation: Activation): Kernel => kernels[activation];

const build = (activation: Activation): Kernel =>
  defineKernel({
    name: `gated_activation.${activation}`,
    numerics: `gated_activation/${activation}`,
    bindings: { gate_up: read("T,2*F"), out: write("T,F") },
    params: { T: "u32", F: "u32" },
    wgsl: wgsl`
${activations[activation].wgsl}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wg.x * ${LANES}u + lid.x;
  if (column >= params.F) { return; }
  let at = wg.y * 2u * params.F + column;
  store_out(wg.y * params.F + column, gated(load_gate_up(at), load_gate_up(at + params.F)));
}
`,
    workgroups: ({ T, F }) => [ceilDiv(F, LANES), T, 1],
    cost: ({ T, F }) => ({ flops: 10 * T * F, bytes: { gate_up: 8 * T * F, out: 4 * T * F } }),
    reference: ({ gate_up, out }, { T, F }) => {
      const { reference } = activations[activation];
      for (let t = 0; t < T; t++) {
        for (let f = 0; f < F; f++) {
          out[t * F + f] = reference(gate_up[t * 2 * F + f], gate_up[t * 2 * F + F + f]);
        }
      }
    },
    probes: [
      { T: 1, F: 64 },
      { T: 3, F: 65 },
    ].map((dims) => ({
      dims,
      inputs: (random) => ({ gate_up: normal(dims.T * 2 * dims.F, random, 4) }),
    })),
  });

const kernels: Readonly<Record<Activation, Kernel>> = {
  silu: build("silu"),
  gelu_tanh: build("gelu_tanh"),
  clamped_swiglu: build("clamped_swiglu"),
};
