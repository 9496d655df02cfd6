/**
 * How K and V of one layer lie in the block pool, in TypeScript and in WGSL.
 * Owns the index formula and the storage of one row (a head at one position); allocates nothing.
 *
 *   kv_pool [P,2,K,B,H]   block, key or value, KV head, position in the block, dim
 *
 * f16 needs no shader-f16: a quad is two packed words. Values beyond f16 are stored as its largest,
 * because one infinite key would turn every later softmax of the sequence into NaN. Of i8, each block
 * has codes in this order and their scales behind them (kv-int8.ts).
 */
import { KernelError } from "./errors.ts";
import { f16ToNumber, numberToF16 } from "./half.ts";
import { type Binding, type Element, read, type Storage, wgsl, write } from "./kernel.ts";
import {
  int8LoadWgsl,
  int8Packing,
  int8RowBytes,
  int8Rows,
  int8StoreWgsl,
  storeInt8Row,
} from "./kv-int8.ts";

export type KvStorage = "f32" | "f16" | "i8";
export const kvStorages: readonly KvStorage[] = ["f32", "f16", "i8"];

const POOL_SHAPE = "P,2,K,B,H";
const MAX_F16 = 65504;

interface KvFormat extends Pick<Binding, "storage" | "element" | "packing"> {
  /** With its scale. */
  rowBytes(H: number): number;
  load(tile: number): string;
  /** @param kvHeads Expression of K. */
  store(lanes: number, kvHeads: string): string;
}

/** Rows of scalars, which need nothing of each other. */
const plain = (
  element: Element,
  storage: Storage,
  bytes: number,
  { load, store }: { load: string; store: string },
): KvFormat => ({
  element,
  storage,
  rowBytes: (H) => H * bytes,
  load: () => wgsl`
fn kv_head_start(block: u32, kv_head: u32) -> u32 {
  return (block * 2u * params.K + kv_head) * B * HEAD_QUADS;
}
fn open_kv_rows(lane: u32, kv_head: u32, low: u32, high: u32) {}
fn kv_quad(plane: u32, j: u32, d4: u32) -> vec4<f32> {
  let stored = load_kv_pool(kv_index(plane, j, d4));
  return ${load};
}`,
  store: () => wgsl`
fn put_kv(slot: u32, plane: u32, kv_head: u32, d4: u32, v: vec4<f32>) {
  let at = kv_row(slot / params.B, plane, kv_head, slot % params.B) * (params.H / 4u) + d4;
  ${store}
}
fn end_kv_row(slot: u32, plane: u32, kv_head: u32, lane: u32) {}`,
});

/** Four scalars: from `stored`, and of `v` to `at`. */
export const plainQuads = {
  f32: { load: "stored", store: "store_kv_pool(at, v);" },
  f16: {
    load: "vec4<f32>(unpack2x16float(stored.x), unpack2x16float(stored.y))",
    store: wgsl`let limited = clamp(v, vec4<f32>(-${MAX_F16}.0), vec4<f32>(${MAX_F16}.0));
  store_kv_pool(at, vec2<u32>(pack2x16float(limited.xy), pack2x16float(limited.zw)));`,
  },
} as const;

const formats: Record<KvStorage, KvFormat> = {
  f32: plain("vec4<f32>", "f32", 4, plainQuads.f32),
  f16: plain("vec2<u32>", "f16", 2, plainQuads.f16),
  i8: {
    element: "u32",
    storage: "u32",
    packing: int8Packing,
    rowBytes: int8RowBytes,
    load: int8LoadWgsl,
    store: int8StoreWgsl,
  },
};

/** Bytes of one head of K, or of V, at one position. */
export const kvRowBytes = (storage: KvStorage, H: number): number => formats[storage].rowBytes(H);

const pool = (storage: KvStorage, access: typeof read, shape = POOL_SHAPE): Binding => {
  const { element, storage: scalar, packing } = formats[storage];
  return { ...access(shape, element, scalar), ...(packing && { packing }) };
};
export const kvPoolRead = (storage: KvStorage): Binding => ({ ...pool(storage, read), raw: true });
/** @param shape As the pool's, where a kernel has other names for the sizes. */
export const kvPoolWrite = (storage: KvStorage, shape?: string): Binding =>
  pool(storage, write, shape);

/**
 * Reading a tile of positions: `open_kv_tile(lane, table, kv_head, low, high)` by all lanes, then
 * `kv_quad(plane, j, d4)`, four dims of K (plane 0) or V (1) of position j of the tile, low ≤ j < high.
 * A barrier must lie between the last `kv_quad` of a tile and the next tile.
 * Needs `load_block_table`, overrides B, LANES and HEAD_QUADS, param K.
 */
export const kvLoadWgsl = (storage: KvStorage, tile: number): string => wgsl`
/** Pool index of dim 0 of the head's first key in each block of the tile. */
var<workgroup> block_starts: array<u32, ${tile / 16}>;

fn kv_index(plane: u32, j: u32, d4: u32) -> u32 {
  return block_starts[j / B] + (plane * params.K * B + j % B) * HEAD_QUADS + d4;
}
${formats[storage].load(tile)}

fn open_kv_tile(lane: u32, table: u32, kv_head: u32, low: u32, high: u32) {
  if (lane >= low / B && lane <= (high - 1u) / B) {
    block_starts[lane] = kv_head_start(load_block_table(table + lane), kv_head);
  }
  workgroupBarrier();
  open_kv_rows(lane, kv_head, low, high);
}`;

/**
 * Writing the one row of a workgroup of `lanes`: `put_kv(slot, plane, kv_head, d4, v)` for each quad, by
 * any lane, then `end_kv_row(slot, plane, kv_head, lane)` by all, so that a scale can be found.
 * Plane 0 is K, 1 is V; slot = block·B + offset. Needs params B and H.
 * @param kvHeads Expression of K.
 */
export const kvStoreWgsl = (
  storage: KvStorage,
  lanes: number,
  kvHeads = "params.K",
): string => wgsl`
fn kv_row(block: u32, plane: u32, kv_head: u32, offset: u32) -> u32 {
  return ((block * 2u + plane) * ${kvHeads} + kv_head) * params.B + offset;
}
${formats[storage].store(lanes, kvHeads)}`;

export interface KvDims {
  readonly K: number;
  readonly B: number;
  readonly H: number;
}

/** Scalar index in [P,2,K,B,H] of dim 0 of one position. */
export const kvRowStart = (
  { K, B, H }: KvDims,
  block: number,
  plane: 0 | 1,
  kvHead: number,
  offset: number,
): number => (((block * 2 + plane) * K + kvHead) * B + offset) * H;

let halfTable: Float32Array | undefined;

/** All 65,536 f16 values; made at first use. */
function f16Values(): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => f16ToNumber(bits));
  return halfTable;
}

/** What a reference sees of a pool: f32, f16 bits, or words of int8 blocks. */
export type KvView = Float32Array | Uint16Array | Uint32Array;

/** Rows of one block for references, whatever the storage: scalars [from, to) of [P,2,K,B,H]. */
export function kvRun(view: KvView, { K, B, H }: KvDims, from: number, to: number): Float32Array {
  if (view instanceof Float32Array) return view.subarray(from, to);
  if (view instanceof Uint32Array) return int8Rows(view, { rows: 2 * K * B, H }, from / H, to / H);
  const values = f16Values();
  const run = new Float32Array(to - from);
  for (let i = 0; i < run.length; i++) run[i] = values[view[from + i]];
  return run;
}

/** Writes a row, H values in f32, as `put_kv` and `end_kv_row` do; `start` as `kvRowStart` gives it. */
export function storeKvRow(
  view: KvView,
  { K, B, H }: KvDims,
  start: number,
  row: Float32Array,
): void {
  if (view instanceof Float32Array) view.set(row, start);
  else if (view instanceof Uint32Array) {
    storeInt8Row(view, { rows: 2 * K * B, H }, start / H, row);
  } else {
    for (let d = 0; d < H; d++) {
      view[start + d] = numberToF16(Math.max(-MAX_F16, Math.min(MAX_F16, row[d])));
    }
  }
}

/** @throws {KernelError} "bad_shape" when no attention kernel of Weft runs these sizes. */
export function checkKvShape({ N, K, B, H }: KvDims & { readonly N: number }): void {
  const refuse = (what: string, cure: string): never => {
    throw new KernelError("bad_shape", `attention over the paged cache ${what}; ${cure}`);
  };
  if (H < 32 || H > 256 || H % 4 !== 0) {
    refuse(
      `got head size H ${H}, needs a multiple of 4 from 32 to 256`,
      "the model needs a new kernel",
    );
  }
  if (N % K !== 0 || N / K > 16) {
    refuse(
      `got ${N} query heads over ${K} KV heads, needs a whole ratio up to 16`,
      "check num_attention_heads and num_key_value_heads",
    );
  }
  if (B !== 16 && B !== 32) refuse(`got blocks of B ${B} positions`, "use 32 or 16");
}
