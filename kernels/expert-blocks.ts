/**
 * Groups the slots of many tokens by expert, into blocks that one matrix kernel workgroup takes. One
 * workgroup for all: a lane per expert counts its slots and then writes them in order, so there are no
 * atomics and the order is always the same.
 */
import { type Dims, defineKernel, type Kernel, read, wgsl, write } from "./kernel.ts";
import { MAX_EXPERTS } from "./router.ts";

const LANES = 256;

/** Blocks that any choice of S slots among E experts fits: each expert's last may be nearly empty. */
export const blockCapacity = (S: number, E: number, block_rows: number): number =>
  Math.floor((S + Math.min(S, E) * (block_rows - 1)) / block_rows);

/**
 * On the host, where that is what chooses the matrices: places and blocks as the kernel gives them.
 * @param ids Of each slot; NO_EXPERT, or any other from `E` on, where it needs none.
 */
export function groupSlots(
  ids: Uint32Array,
  E: number,
  block_rows: number,
  { places, blocks }: { readonly places: Uint32Array; readonly blocks: Uint32Array },
): void {
  const slotsOf = new Map<number, number[]>();
  for (const [slot, id] of ids.entries()) {
    if (id >= E) continue;
    const own = slotsOf.get(id);
    if (own) own.push(slot);
    else slotsOf.set(id, [slot]);
  }
  let block = 0;
  for (const id of [...slotsOf.keys()].sort((a, b) => a - b)) {
    const own = slotsOf.get(id)!;
    places.set(own, block * block_rows);
    for (let left = own.length; left > 0; left -= block_rows) {
      blocks.set([id, Math.min(left, block_rows)], 2 * block);
      block += 1;
    }
  }
  blocks.fill(0, 2 * block);
}

/**
 *   ids [S] u32, NO_EXPERT where a slot needs none  → places [num_blocks·block_rows] u32: slots by place,
 *   blocks [num_blocks,2] u32: expert and number of slots, 0 for blocks that are not used
 *
 * Places beyond a block's slots are not written. Blocks come by rising expert, slots by rising index.
 * Cost: 2·E·S comparisons and 8·E·S bytes that every lane reads at once: small beside the experts.
 * @see the aligned blocks of vLLM's `moe_align_block_size`.
 */
export const expertBlocks: Kernel = defineKernel({
  name: "expert_blocks",
  numerics: "expert_blocks/exact",
  bindings: {
    ids: read("S", "u32"),
    places: write("num_blocks*block_rows", "u32"),
    blocks: write("num_blocks,2", "vec2<u32>"),
  },
  params: { S: "u32", E: "u32", num_blocks: "u32", block_rows: "u32" },
  wgsl: wgsl`
/** Slots of an expert; then its first block. */
var<workgroup> slot_counts: array<u32, ${MAX_EXPERTS}>;

fn blocks_of(count: u32) -> u32 { return (count + params.block_rows - 1u) / params.block_rows; }

@compute @workgroup_size(${LANES})
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
  for (var e = lid.x; e < params.E; e += ${LANES}u) {
    var count = 0u;
    for (var s = 0u; s < params.S; s++) { count += select(0u, 1u, load_ids(s) == e); }
    slot_counts[e] = count;
  }
  workgroupBarrier();
  for (var e = lid.x; e < params.E; e += ${LANES}u) {
    var block = 0u;
    for (var lower = 0u; lower < e; lower++) { block += blocks_of(slot_counts[lower]); }
    let count = slot_counts[e];
    for (var b = 0u; b < blocks_of(count); b++) {
      store_blocks(block + b, vec2<u32>(e, min(count - b * params.block_rows, params.block_rows)));
    }
    var place = block * params.block_rows;
    for (var s = 0u; s < params.S; s++) {
      if (load_ids(s) == e) {
        store_places(place, s);
        place += 1u;
      }
    }
    if (e == params.E - 1u) {
      for (var b = block + blocks_of(count); b < params.num_blocks; b++) { store_blocks(b, vec2<u32>()); }
    }
  }
}
`,
  workgroups: () => [1, 1, 1],
  cost: ({ S, E, num_blocks }) => ({
    flops: 2 * E * S,
    bytes: { ids: 8 * E * S, places: 4 * S, blocks: 8 * num_blocks },
  }),
  reference: ({ ids, places, blocks }, { S, E, num_blocks, block_rows }) =>
    groupSlots(ids.subarray(0, S), E, block_rows, {
      places,
      blocks: blocks.subarray(0, 2 * num_blocks),
    }),
  tolerance: 0,
  probes: [
    { S: 1, E: 8, block_rows: 8 },
    { S: 70, E: 8, block_rows: 32 },
    { S: 33, E: 300, block_rows: 16 },
  ].map(({ S, E, block_rows }) => {
    const dims: Dims = { S, E, block_rows, num_blocks: blockCapacity(S, E, block_rows) };
    return {
      dims,
      // Few experts take most, and some none.
      inputs: (random) => ({
        ids: Uint32Array.from({ length: S }, () => Math.floor(E * random() ** 3)),
      }),
    };
  }),
});
