/**
 * Which rows of x a workgroup multiplies, and by which rows of the weight. `all`: row by row, one
 * matrix. For a stack of experts, E matrices one below the other, rows are slots, k for each token:
 * `slots` takes one slot per workgroup, by the expert that it chose; `blocks` takes a block of slots
 * of one expert (expert-blocks.ts). All give a row the same bits.
 */
import { type Binding, ceilDiv, type Dims, read, wgsl } from "./kernel.ts";

export type MatmulRows = "all" | "slots" | "blocks";

/** How a shape takes the slots of a stack of experts. */
export const rowsFor = ({ rowsPerGroup }: { readonly rowsPerGroup: number }) =>
  rowsPerGroup === 1 ? "slots" : "blocks";

export const rowsBindings = (rows: MatmulRows): Record<string, Binding> => {
  if (rows === "all") return {};
  if (rows === "slots") return { expert_ids: read("T", "u32") };
  return { places: read("places", "u32"), blocks: read("num_blocks,2", "vec2<u32>") };
};

/**
 * A stack, or a shard of it, has `experts` matrices, the first of them of expert `first_expert`. A slot's row of x is slot / slots_per_x:
 * k where rows of x are tokens, 1 where they are slots.
 */
export const rowsParams = (rows: MatmulRows): Record<string, "u32"> =>
  rows === "all" ? {} : { experts: "u32", first_expert: "u32", slots_per_x: "u32" };

/** Rows of the weight, as an expression. */
export const weightRowsWgsl = (rows: MatmulRows, rowsPerOutput: number): string => {
  const own = rowsPerOutput === 1 ? "params.N" : "(2u * params.N)";
  return rows === "all" ? own : `(params.experts * ${own})`;
};

/**
 * `fn open_rows(lane, first_row)`, called by all lanes first, gives the number of rows from first_row
 * on; nothing is to be done for 0. Then, of row m of the workgroup, `fn x_row(first_row, m)` and
 * `fn out_row(row)`, and `fn first_weight_row()`, `fn first_bias()` of the matrix.
 * @param rowsPerGroup Of the shape; one for `slots`.
 */
export function rowsWgsl(rows: MatmulRows, rowsPerGroup: number, rowsPerOutput: number): string {
  if (rows === "all") {
    return wgsl`fn open_rows(lane: u32, first_row: u32) -> u32 { return min(${rowsPerGroup}u, params.T - first_row); }
fn x_row(first_row: u32, m: u32) -> u32 { return first_row + m; }
fn out_row(row: u32) -> u32 { return row; }
fn first_weight_row() -> u32 { return 0u; }
fn first_bias() -> u32 { return 0u; }`;
  }
  const expert = wgsl`var<private> expert: u32;
fn first_weight_row() -> u32 { return expert * ${rowsPerOutput}u * params.N; }
fn first_bias() -> u32 { return (params.first_expert + expert) * ${rowsPerOutput}u * params.N; }`;
  if (rows === "slots") {
    return wgsl`${expert}
fn open_rows(lane: u32, first_row: u32) -> u32 {
  // What all lanes read alike is uniform, what a private variable holds is not.
  let own = load_expert_ids(first_row) - params.first_expert;
  expert = own;
  return select(0u, 1u, own < params.experts);
}
fn x_row(first_row: u32, m: u32) -> u32 { return first_row / params.slots_per_x; }
fn out_row(row: u32) -> u32 { return row; }`;
  }
  return wgsl`${expert}
var<workgroup> own_slots: array<u32, ${rowsPerGroup}>;
fn open_rows(lane: u32, first_row: u32) -> u32 {
  let block = load_blocks(first_row / ${rowsPerGroup}u);
  let own = block.x - params.first_expert;
  expert = own;
  if (own >= params.experts) { return 0u; }
  if (lane < block.y) { own_slots[lane] = load_places(first_row + lane); }
  workgroupBarrier();
  return block.y;
}
fn x_row(first_row: u32, m: u32) -> u32 { return own_slots[m] / params.slots_per_x; }
fn out_row(row: u32) -> u32 { return own_slots[row % ${rowsPerGroup}u]; }`;
}

/** Groups of rows that the grid has. */
export const gridRowGroups = ({ T, num_blocks }: Dims, rowsPerGroup: number): number =>
  num_blocks ?? ceilDiv(T, rowsPerGroup);

/** Groups of rows that there is work for: the host knows no ids, so it tells what is to be expected. */
export const usedRowGroups = ({ T, used_blocks }: Dims, rowsPerGroup: number): number =>
  used_blocks ?? ceilDiv(T, rowsPerGroup);

/** Bytes of `rowsBindings`. Each lane asks for its block or expert, one lane for each row's place. */
export function rowsBytes(
  rows: MatmulRows,
  lanes: number,
  outputGroups: number,
  { T, own_slots, num_blocks }: Dims,
): Record<string, number> {
  if (rows === "all") return {};
  if (rows === "slots") return { expert_ids: 4 * lanes * T };
  return { places: 4 * outputGroups * own_slots, blocks: 8 * lanes * num_blocks };
}

interface RowsMemory {
  readonly expert_ids?: Uint32Array;
  readonly places?: Uint32Array;
  readonly blocks?: Uint32Array;
}

/** Slow twin: rows of x and of out that go together, and the matrix in between. */
export function* rowsReference(
  rows: MatmulRows,
  { expert_ids = NONE, places = NONE, blocks = NONE }: RowsMemory,
  dims: Dims,
): Iterable<{ from: number; to: number; expert: number }> {
  const { T, num_blocks } = dims;
  if (rows === "all") {
    for (let t = 0; t < T; t++) yield { from: t, to: t, expert: 0 };
    return;
  }
  const { experts, first_expert, slots_per_x } = dims;
  const isOwn = (id: number) => id >= first_expert && id < first_expert + experts;
  const row = (slot: number, id: number) => ({
    from: Math.floor(slot / slots_per_x),
    to: slot,
    expert: id - first_expert,
  });
  if (rows === "slots") {
    for (let slot = 0; slot < T; slot++) {
      if (isOwn(expert_ids[slot])) yield row(slot, expert_ids[slot]);
    }
    return;
  }
  const perBlock = dims.places / num_blocks;
  for (let block = 0; block < num_blocks; block++) {
    const [id, count] = blocks.subarray(2 * block);
    for (let i = 0; i < count; i++) {
      if (isOwn(id)) yield row(places[block * perBlock + i], id);
    }
  }
}

const NONE = new Uint32Array();
