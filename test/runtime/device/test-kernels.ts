// Small kernels whose results tell in which order things happened.

import {
  defineKernel,
  type Kernel,
  read,
  readWrite,
  wgsl,
  write,
} from "../../../kernels/kernel.ts";

const LANES = 64;
const cost = () => ({ flops: 0, bytes: {} });

/** out[at] = value, both params. */
export const storeParam: Kernel = defineKernel({
  name: "store_param",
  numerics: "test",
  bindings: { out: write("N", "u32") },
  params: { at: "u32", value: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wg: vec3<u32>) { store_out(params.at, params.value); }
`,
  workgroups: () => [1, 1, 1],
  cost,
  reference: ({ out }, { at, value }) => {
    out[at!] = value;
  },
});

/** total[i] = total[i] · S + x[i]: neither commutes with itself nor with a write. */
export const shiftAdd: Kernel = defineKernel({
  name: "shift_add",
  numerics: "test",
  bindings: { x: read("N", "u32"), total: readWrite("N", "u32") },
  params: { N: "u32" },
  constants: ["S"],
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < params.N) { store_total(id.x, load_total(id.x) * S + load_x(id.x)); }
}
`,
  workgroups: ({ N }) => [Math.ceil(N! / LANES), 1, 1],
  cost,
  reference: ({ x, total }, { N, S }) => {
    for (let i = 0; i < N!; i++) total[i] = total[i] * S! + x[i];
  },
});

/** Refers to a name that does not exist. */
export const broken: Kernel = defineKernel({
  name: "broken",
  numerics: "test",
  bindings: { out: write("N", "u32") },
  wgsl: wgsl`
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wg: vec3<u32>) { store_out(0u, no_such_name); }
`,
  workgroups: () => [1, 1, 1],
  cost,
  reference: () => {},
});
