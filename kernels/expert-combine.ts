/** What the chosen experts found, weighted, into the residual stream: in the order of the choice. */
import { ceilDiv, defineKernel, type Kernel, read, readWrite, wgsl } from "./kernel.ts";
import { normal, uniform } from "./probe.ts";
import { NO_EXPERT } from "./router.ts";

const LANES = 64;

/** What else is added: an expert for all tokens, as it is or by the sigmoid of a logit. */
export type SharedExpert = "none" | "plain" | "gated";

interface CombineKind {
  readonly shared: SharedExpert;
  /** Whether slots without an expert give the normalised token itself back. */
  readonly identity: boolean;
}

/**
 *   y [T·k,D]  weights [T,k]  identity: ids [T,k] u32, x [T,D]  shared [T,D]?  gate_logits [T,stride]?
 *   → out [T,D] += scale · (Σ_j weights_j · y_j, j ascending, then shared), products and sums by fma
 *
 * The gate is the sigmoid of column gate_column. Slots of NO_EXPERT have no y.
 * Cost: 4·T·k·D bytes of y: memory-bound.
 */
export const expertCombine = ({ shared, identity }: CombineKind): Kernel => {
  const name = `expert_combine${shared === "none" ? "" : `.${shared}`}${identity ? ".identity" : ""}`;
  let kernel = built.get(name);
  if (!kernel) {
    kernel = build(name, { shared, identity });
    built.set(name, kernel);
  }
  return kernel;
};

const built = new Map<string, Kernel>();

function build(name: string, { shared, identity }: CombineKind): Kernel {
  const gated = shared === "gated";
  const gate = gated
    ? "1.0 / (1.0 + exp(min(-load_gate_logits(row * params.stride + params.gate_column), 80.0)))"
    : "1.0";
  return defineKernel({
    name,
    numerics: name,
    bindings: {
      y: read("T*k,D", "vec4<f32>"),
      weights: read("T,k"),
      ...(identity && { ids: read("T,k", "u32"), x: read("T,D", "vec4<f32>") }),
      ...(shared !== "none" && { shared_out: read("T,D", "vec4<f32>") }),
      ...(gated && { gate_logits: read("T,stride") }),
      out: readWrite("T,D", "vec4<f32>"),
    },
    params: {
      ...{ k: "u32", D: "u32", scale: "f32" },
      ...(gated && { stride: "u32", gate_column: "u32" }),
    },
    wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let vectors = params.D / 4u;
  let column = wg.x * ${LANES}u + lid.x;
  let row = wg.y;
  if (column >= vectors) { return; }
  let at = row * vectors + column;
  var sum = vec4<f32>();
  for (var j = row * params.k; j < (row + 1u) * params.k; j++) {
    ${
      identity
        ? wgsl`var y: vec4<f32>;
    if (load_ids(j) == ${NO_EXPERT}u) { y = load_x(at); } else { y = load_y(j * vectors + column); }`
        : "let y = load_y(j * vectors + column);"
    }
    sum = fma(vec4<f32>(load_weights(j)), y, sum);
  }
  ${shared === "none" ? "" : `sum = fma(vec4<f32>(${gate}), load_shared_out(at), sum);`}
  store_out(at, fma(vec4<f32>(params.scale), sum, load_out(at)));
}
`,
    workgroups: ({ T, D }) => [ceilDiv(D / 4, LANES), T, 1],
    cost: ({ T, k, D, identity_slots = 0 }) => ({
      flops: 2 * T * k * D,
      bytes: {
        y: 4 * (T * k - identity_slots) * D,
        weights: T * k * D,
        ...(identity && { ids: T * k * D, x: 4 * identity_slots * D }),
        ...(shared !== "none" && { shared_out: 4 * T * D }),
        ...(gated && { gate_logits: T * D }),
        out: 8 * T * D,
      },
    }),
    reference: (io, dims) => {
      const { T, k, D, scale, stride, gate_column } = dims;
      for (let t = 0; t < T; t++) {
        const gateValue = gated ? 1 / (1 + Math.exp(-io.gate_logits[t * stride + gate_column])) : 1;
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (let j = t * k; j < (t + 1) * k; j++) {
            const y = identity && io.ids[j] === NO_EXPERT ? io.x[t * D + d] : io.y[j * D + d];
            sum += io.weights[j] * y;
          }
          if (shared !== "none") sum += gateValue * io.shared_out[t * D + d];
          io.out[t * D + d] += scale * sum;
        }
      }
    },
    probes: [
      { T: 1, k: 2, D: 64, scale: 1 },
      { T: 2, k: 2, D: 260, scale: 1 },
      { T: 3, k: 8, D: 288, scale: 0.5 },
    ].map((sizes) => {
      const { T, k, D } = sizes;
      return {
        dims: {
          ...sizes,
          ...(gated && { stride: 9, gate_column: 8 }),
          ...(identity && { identity_slots: T }),
        },
        inputs: (random) => ({
          y: normal(T * k * D, random),
          weights: uniform(T * k, 0, 1, random),
          ...(identity && {
            ids: Uint32Array.from({ length: T * k }, (_, j) => (j % k === 1 ? NO_EXPERT : j)),
            x: normal(T * D, random),
          }),
          ...(shared !== "none" && { shared_out: normal(T * D, random) }),
          ...(gated && { gate_logits: normal(T * 9, random) }),
          out: normal(T * D, random),
        }),
      };
    }),
  });
}
