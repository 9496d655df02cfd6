/** Which rows of a step leave off before a layer, and which dispatches behind it run at all. */
import { defineKernel, type Kernel, read, readWrite, wgsl, write } from "./kernel.ts";

const LANES = 64;

/**
 *   confidence [R]  marks [R] u32  grids [N,4] u32: x, y, z and nothing  → marks, counts [N,3] u32
 *
 * A row that goes on has mark 0. It leaves, and gets `mark` (1 at least), where its confidence is at least
 * `threshold`; with `together` 1, only where that is so of all rows that go on. `counts` are the grids while a
 * row goes on, else zeros. With `first` 1, all rows go on so far, whatever their marks are.
 * One workgroup. Cost: 12·R + 28·N bytes.
 */
export const exitGate: Kernel = defineKernel({
  name: "exit_gate",
  numerics: "exit_gate/exact",
  bindings: {
    confidence: read("R"),
    marks: readWrite("R", "u32"),
    grids: read("N,4", "vec4<u32>"),
    counts: write("N,3", "u32"),
  },
  params: { R: "u32", N: "u32", mark: "u32", first: "u32", together: "u32", threshold: "f32" },
  wgsl: wgsl`
/** Rows of each lane that go on. */
var<workgroup> of_lanes: array<u32, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  var stays = 0u;
  for (var r = lane; r < params.R; r += ${LANES}u) {
    let goes = params.first == 1u || load_marks(r) == 0u;
    if (goes && load_confidence(r) < params.threshold) { stays += 1u; }
  }
  of_lanes[lane] = stays;
  workgroupBarrier();
  var staying = 0u;
  for (var i = 0u; i < ${LANES}u; i++) { staying += of_lanes[i]; }
  for (var r = lane; r < params.R; r += ${LANES}u) {
    let before = select(load_marks(r), 0u, params.first == 1u);
    let is_sure = load_confidence(r) >= params.threshold;
    let leaves = before == 0u && select(is_sure, staying == 0u, params.together == 1u);
    store_marks(r, select(before, params.mark, leaves));
  }
  let runs = select(0u, 1u, staying > 0u);
  for (var n = lane; n < params.N; n += ${LANES}u) {
    let grid = load_grids(n);
    store_counts(3u * n, runs * grid.x);
    store_counts(3u * n + 1u, runs * grid.y);
    store_counts(3u * n + 2u, runs * grid.z);
  }
}
`,
  workgroups: () => [1, 1, 1],
  cost: ({ R, N, first }) => ({
    flops: 0,
    bytes: {
      // Whoever has left is not asked again, but for its mark.
      confidence: 8 * R,
      marks: (first === 1 ? 8 : 12) * R,
      grids: 16 * N,
      counts: 12 * N,
    },
  }),
  reference: ({ confidence, marks, grids, counts }, dims) => {
    const { R, N, mark, first, together } = dims;
    const threshold = Math.fround(dims.threshold);
    if (first === 1) marks.fill(0, 0, R);
    const going = [...Array(R).keys()].filter((r) => marks[r] === 0);
    const sure = going.filter((r) => confidence[r] >= threshold);
    const runs = sure.length < going.length;
    for (const r of together === 1 && runs ? [] : sure) marks[r] = mark;
    for (let n = 0; n < N; n++) {
      for (let axis = 0; axis < 3; axis++) counts[3 * n + axis] = runs ? grids[4 * n + axis] : 0;
    }
  },
  tolerance: 0,
  probes: [
    { R: 1, N: 3, mark: 2, first: 1, together: 0, threshold: 0.5 },
    { R: 5, N: 65, mark: 4, first: 0, together: 0, threshold: 0.4 },
    { R: 70, N: 7, mark: 3, first: 1, together: 1, threshold: 0.5 },
    { R: 3, N: 4, mark: 3, first: 1, together: 1, threshold: 0 },
  ].map((dims) => ({
    dims,
    inputs: (random) => ({
      confidence: Float32Array.from({ length: dims.R }, random),
      // The first time, what an earlier step has left.
      marks: Uint32Array.from({ length: dims.R }, () => (dims.first === 1 ? 9 : 0)),
      grids: Uint32Array.from({ length: 4 * dims.N }, () => Math.floor(100 * random())),
    }),
  })),
});
