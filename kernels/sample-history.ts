/**
 * Which tokens a sequence has seen, as its penalties need it: one word per token of the vocabulary.
 * Owns the word's layout and the start of a row; sample-draw.ts counts up what it draws.
 */
import { ceilDiv, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";

const TILE = 1024;
const LANES = 256;

/** Low 31 bits of a history word: how often the output holds the token. */
export const OUTPUT_COUNT = 0x7fffffff;
/** High bit of a history word: the prompt holds the token. */
export const IN_PROMPT = 0x80000000;

/**
 * What `sample_history` writes for a sequence: (token, word), each token once.
 * @param outputIds Tokens sampled so far; none before the first step, all of them on resume.
 */
export function packHistory(
  promptIds: Iterable<number>,
  outputIds: Iterable<number> = [],
): Uint32Array {
  const words = new Map<number, number>();
  for (const id of promptIds) words.set(id, IN_PROMPT);
  for (const id of outputIds) words.set(id, (words.get(id) ?? 0) + 1);
  return Uint32Array.from([...words].flat());
}

/**
 *   entries [N,2] u32 → history [C,V] u32, row `row`: the entries' words, 0 elsewhere
 *
 * When a sequence with penalties takes the row. One workgroup per 1,024 tokens of the vocabulary.
 * Cost: V writes; each workgroup reads all N entries, the distinct tokens of the sequence.
 */
export const sampleHistory: Kernel = defineKernel({
  name: "sample_history",
  numerics: "sample_history",
  bindings: { entries: read("N,2", "vec2<u32>"), history: write("C,V", "u32") },
  params: { V: "u32", N: "u32", row: "u32" },
  wgsl: wgsl`
var<workgroup> tile: array<u32, ${TILE}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let lane = lid.x;
  let first = wg.x * ${TILE}u;
  let count = min(${TILE}u, params.V - first);
  for (var i = lane; i < count; i += ${LANES}u) { tile[i] = 0u; }
  workgroupBarrier();
  for (var e = lane; e < params.N; e += ${LANES}u) {
    let entry = load_entries(e);
    let i = entry.x - first;
    if (i < count) { tile[i] = entry.y; }
  }
  workgroupBarrier();
  for (var i = lane; i < count; i += ${LANES}u) {
    store_history(params.row * params.V + first + i, tile[i]);
  }
}
`,
  workgroups: ({ V }) => [ceilDiv(V, TILE), 1, 1],
  cost: ({ V, N }) => ({
    flops: 0,
    bytes: { entries: 8 * N * ceilDiv(V, TILE), history: 4 * V },
  }),
  reference: ({ entries, history }, { V, N, row }) => {
    history.fill(0, row * V, (row + 1) * V);
    for (let e = 0; e < N; e++) history[row * V + entries[2 * e]] = entries[2 * e + 1];
  },
  probes: [
    { V: 33, C: 1, row: 0 },
    { V: 1024, C: 2, row: 1 },
    { V: 2049, C: 3, row: 1 },
  ].map((dims) => {
    const ids = Array.from({ length: 300 }, (_, i) => (i * 37) % dims.V);
    const entries = packHistory(ids, ids.slice(0, 90));
    return { dims: { ...dims, N: entries.length / 2 }, inputs: () => ({ entries }) };
  }),
});
