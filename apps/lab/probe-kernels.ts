/** Kernels that measure the adapter and compute nothing of use: copy, read, multiply-add, and nothing. */
import {
  ceilDiv,
  defineKernel,
  type Kernel,
  read,
  readWrite,
  wgsl,
  write,
} from "../../kernels/index.ts";

const LANES = 256;
/** Vectors of 16 bytes that each lane moves. */
const VECTORS_PER_LANE = 4;
/** Vectors of one workgroup. */
const GROUP_VECTORS = LANES * VECTORS_PER_LANE;

const header = wgsl`@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let first = wg.x * ${GROUP_VECTORS}u + lid.x;`;

/** x [vectors,4] → out [vectors,4]. Lanes that are neighbours take neighbouring vectors. */
export const copyProbe: Kernel = defineKernel({
  name: "probe_copy",
  numerics: "probe_copy/exact",
  bindings: { x: read("vectors,4", "vec4<f32>"), out: write("vectors,4", "vec4<f32>") },
  params: { vectors: "u32" },
  wgsl: wgsl`${header}
  for (var i = first; i < first + ${GROUP_VECTORS}u; i += ${LANES}u) {
    if (i < params.vectors) { store_out(i, load_x(i)); }
  }
}
`,
  workgroups: ({ vectors }) => [ceilDiv(vectors, GROUP_VECTORS), 1, 1],
  cost: ({ vectors }) => ({ flops: 0, bytes: { x: 16 * vectors, out: 16 * vectors } }),
  reference: ({ x, out }) => out.set(x),
  tolerance: 0,
  probes: [{ vectors: 1 }, { vectors: 2500 }].map((dims) => ({
    dims,
    inputs: (random) => ({ x: Float32Array.from({ length: 4 * dims.vectors }, random) }),
  })),
});

/**
 * x [vectors,4] → out [groups], the sum of what lane 0 of each workgroup read; each lane stores where
 * its sum is impossible, so that no compiler leaves its reads out.
 */
export const readProbe: Kernel = defineKernel({
  name: "probe_read",
  numerics: "probe_read",
  bindings: { x: read("vectors,4", "vec4<f32>"), out: write("groups") },
  params: { vectors: "u32" },
  wgsl: wgsl`${header}
  var sum = vec4<f32>();
  for (var i = first; i < first + ${GROUP_VECTORS}u; i += ${LANES}u) {
    if (i < params.vectors) { sum += load_x(i); }
  }
  let total = sum.x + sum.y + sum.z + sum.w;
  if (lid.x == 0u || total == 1.25e30) { store_out(wg.x, total); }
}
`,
  workgroups: ({ groups }) => [groups, 1, 1],
  cost: ({ vectors, groups }) => ({
    flops: 4 * vectors,
    bytes: { x: 16 * vectors, out: 4 * groups },
  }),
  reference: ({ x, out }, { vectors, groups }) => {
    for (let group = 0; group < groups; group++) {
      let sum = 0;
      for (let k = 0; k < VECTORS_PER_LANE; k++) {
        const at = group * GROUP_VECTORS + k * LANES;
        for (let c = 0; c < 4 && at < vectors; c++) sum += x[4 * at + c];
      }
      out[group] = sum;
    }
  },
  probes: [{ vectors: 1 }, { vectors: 2500 }].map(({ vectors }) => ({
    dims: { vectors, groups: groupsOf(vectors) },
    inputs: (random) => ({ x: Float32Array.from({ length: 4 * vectors }, random) }),
  })),
});

/** Workgroups of `readProbe`, its dim `groups`. */
export function groupsOf(vectors: number): number {
  return ceilDiv(vectors, GROUP_VECTORS);
}

const CHAINS = 8;
const chains = Array.from({ length: CHAINS }, (_, i) => `a${i}`);

/** → out [groups]: chains of fma in registers, `rounds` long; nothing is read. */
export const fmaProbe: Kernel = defineKernel({
  name: "probe_fma",
  numerics: "probe_fma",
  bindings: { out: write("groups") },
  params: { rounds: "u32", factor: "f32" },
  wgsl: wgsl`@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let factor = vec4<f32>(params.factor);
  ${chains.map((a, i) => `var ${a} = vec4<f32>(f32(lid.x + ${i}u));`).join(" ")}
  for (var i = 0u; i < params.rounds; i++) {
    ${[0, 1].map(() => chains.map((a) => `${a} = fma(${a}, factor, vec4<f32>(1.0));`).join(" ")).join("\n    ")}
  }
  let sum = ${chains.join(" + ")};
  let total = sum.x + sum.y + sum.z + sum.w;
  if (lid.x == 0u || total == 1.25e30) { store_out(wg.x, total); }
}
`,
  workgroups: ({ groups }) => [groups, 1, 1],
  cost: ({ groups, rounds }) => ({
    flops: 2 * 4 * 2 * CHAINS * rounds * LANES * groups,
    bytes: { out: 4 * groups },
  }),
  reference: ({ out }, { groups, rounds, factor }) => {
    let sum = 0;
    for (let chain = 0; chain < CHAINS; chain++) {
      let a = chain;
      for (let i = 0; i < 2 * rounds; i++) a = a * factor + 1;
      sum += 4 * a;
    }
    out.fill(sum, 0, groups);
  },
  probes: [{ groups: 3, rounds: 5, factor: 0.5 }].map((dims) => ({ dims, inputs: () => ({}) })),
});

const DOT_CHAINS = 32;
const dotChains = Array.from({ length: DOT_CHAINS }, (_, i) => `a${i}`);

/** → out [groups]: chains of integer dot products in registers, each of the sum before it. */
export const dotProbe: Kernel = defineKernel({
  name: "probe_dot",
  numerics: "probe_dot/exact",
  bindings: { out: write("groups", "u32") },
  params: { rounds: "u32" },
  wgsl: wgsl`@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  ${dotChains.map((a, i) => `var ${a} = i32(lid.x + ${i}u);`).join(" ")}
  for (var i = 0u; i < params.rounds; i++) {
    ${dotChains.map((a) => `${a} += dot4I8Packed(bitcast<u32>(${a}), 0x01030507u);`).join(" ")}
  }
  let total = ${dotChains.join(" + ")};
  if (lid.x == 0u || total == 125) { store_out(wg.x, bitcast<u32>(total)); }
}
`,
  workgroups: ({ groups }) => [groups, 1, 1],
  cost: ({ groups, rounds }) => ({
    flops: 2 * 4 * DOT_CHAINS * rounds * LANES * groups,
    bytes: { out: 4 * groups },
  }),
  reference: ({ out }, { groups, rounds }) => {
    let total = 0;
    for (let chain = 0; chain < DOT_CHAINS; chain++) {
      let a = chain;
      for (let i = 0; i < rounds; i++) {
        const byte = (at: number) => (a << (24 - at)) >> 24;
        a = (a + 7 * byte(0) + 5 * byte(8) + 3 * byte(16) + byte(24)) | 0;
      }
      total = (total + a) | 0;
    }
    out.fill(total, 0, groups);
  },
  probes: [{ groups: 3, rounds: 5 }].map((dims) => ({ dims, inputs: () => ({}) })),
});

/** One lane adds 1 to one word: what is left of a dispatch when nothing is computed. */
export const emptyProbe: Kernel = defineKernel({
  name: "probe_empty",
  numerics: "probe_empty/exact",
  bindings: { out: readWrite("1", "u32") },
  wgsl: wgsl`@compute @workgroup_size(1)
fn main() {
  store_out(0u, load_out(0u) + 1u);
}
`,
  workgroups: () => [1, 1, 1],
  cost: () => ({ flops: 0, bytes: { out: 8 } }),
  reference: ({ out }) => {
    out[0] += 1;
  },
  probes: [{ dims: {}, inputs: () => ({ out: Uint32Array.of(41) }) }],
});

export const probeKernels: readonly Kernel[] = [
  copyProbe,
  readProbe,
  fmaProbe,
  dotProbe,
  emptyProbe,
];
