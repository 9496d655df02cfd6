/** Which dispatches of a layer run at all: grids of workgroups by what a router has decided on the GPU. */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";

const LANES = 64;

/**
 *   decisions [S] u32, of which entry `slot`  grids [N,4] u32: x, y, z and the least decision that runs it
 *   → counts [N,3] u32: x, y, z, or zeros
 *
 * A thread per dispatch. Cost: 28·N bytes.
 */
export const gateDispatches: Kernel = defineKernel({
  name: "gate_dispatches",
  numerics: "gate_dispatches/exact",
  bindings: {
    decisions: read("S", "u32"),
    grids: read("N,4", "vec4<u32>"),
    counts: write("N,3", "u32"),
  },
  params: { N: "u32", slot: "u32" },
  wgsl: wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n = id.x;
  if (n >= params.N) { return; }
  let grid = load_grids(n);
  let runs = select(0u, 1u, load_decisions(params.slot) >= grid.w);
  store_counts(3u * n, runs * grid.x);
  store_counts(3u * n + 1u, runs * grid.y);
  store_counts(3u * n + 2u, runs * grid.z);
}
`,
  workgroups: ({ N }) => [ceilDiv(N, LANES), 1, 1],
  cost: ({ N }) => ({ flops: 0, bytes: { decisions: 4 * N, grids: 16 * N, counts: 12 * N } }),
  reference: ({ decisions, grids, counts }, { N, slot }) => {
    for (let n = 0; n < N; n++) {
      const runs = decisions[slot] >= grids[4 * n + 3];
      for (let axis = 0; axis < 3; axis++) counts[3 * n + axis] = runs ? grids[4 * n + axis] : 0;
    }
  },
  tolerance: 0,
  probes: [
    { S: 1, N: 3, slot: 0 },
    { S: 5, N: 65, slot: 3 },
    { S: 2, N: 20, slot: 1 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      decisions: Uint32Array.from({ length: dims.S }, () => Math.floor(3 * random())),
      grids: Uint32Array.from({ length: 4 * dims.N }, (_, i) =>
        Math.floor((i % 4 === 3 ? 3 : 100) * random()),
      ),
    }),
  })),
});
