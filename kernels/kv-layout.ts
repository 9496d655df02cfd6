/**
 * How K and V of one layer lie in the block pool, in TypeScript and in WGSL.
 * Owns the index formula and the storage of one quad (four dims); allocates nothing.
 *
 *   kv_pool [P,2,K,B,H]   block, key or value, KV head, position in the block, dim
 *
 * f16 needs no shader-f16: a quad is two packed words. Values beyond f16 are stored as its largest,
 * because one infinite key would turn every later softmax of the sequence into NaN.
 */
import { KernelError } from "./errors.ts";
import { f16ToNumber, numberToF16 } from "./half.ts";
import { type Binding, read, wgsl, write } from "./kernel.ts";

export type KvStorage = "f32" | "f16";
export const kvStorages: readonly KvStorage[] = ["f32", "f16"];

const POOL_SHAPE = "P,2,K,B,H";
const MAX_F16 = 65504;

const formats = {
  f32: {
    element: "vec4<f32>",
    bytes: 4,
    load: wgsl`fn kv_quad(i: u32) -> vec4<f32> { return load_kv_pool(i); }`,
    store: wgsl`fn store_kv_quad(i: u32, v: vec4<f32>) { store_kv_pool(i, v); }`,
  },
  f16: {
    element: "vec2<u32>",
    bytes: 2,
    load: wgsl`fn kv_quad(i: u32) -> vec4<f32> {
  let words = load_kv_pool(i);
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}`,
    store: wgsl`fn store_kv_quad(i: u32, v: vec4<f32>) {
  let limited = clamp(v, vec4<f32>(-${MAX_F16}.0), vec4<f32>(${MAX_F16}.0));
  store_kv_pool(i, vec2<u32>(pack2x16float(limited.xy), pack2x16float(limited.zw)));
}`,
  },
} as const;

/** Bytes of one stored scalar. */
export const kvBytes = (storage: KvStorage): number => formats[storage].bytes;

export const kvPoolRead = (storage: KvStorage): Binding => ({
  ...read(POOL_SHAPE, formats[storage].element, storage),
  raw: true,
});
export const kvPoolWrite = (storage: KvStorage): Binding =>
  write(POOL_SHAPE, formats[storage].element, storage);

/** `fn kv_quad(i)`: four dims of the pool, i counts quads. */
export const kvLoadWgsl = (storage: KvStorage): string => formats[storage].load;

/**
 * `fn store_kv_row(slot, plane, kv_head, d4, v)`: plane 0 is K, 1 is V; slot = block·B + offset.
 * Needs params K, B and H.
 */
export const kvStoreWgsl = (storage: KvStorage): string => wgsl`${formats[storage].store}
fn store_kv_row(slot: u32, plane: u32, kv_head: u32, d4: u32, v: vec4<f32>) {
  let row = ((slot / params.B * 2u + plane) * params.K + kv_head) * params.B + slot % params.B;
  store_kv_quad(row * (params.H / 4u) + d4, v);
}`;

export interface KvDims {
  readonly K: number;
  readonly B: number;
  readonly H: number;
}

/** Scalar index of dim 0 of one position in the pool. */
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

/** Scalars [from, to) of the pool for references, whether the view holds numbers or f16 bits. */
export function kvRun(view: Float32Array | Uint16Array, from: number, to: number): Float32Array {
  if (view instanceof Float32Array) return view.subarray(from, to);
  const values = f16Values();
  const run = new Float32Array(to - from);
  for (let i = 0; i < run.length; i++) run[i] = values[view[from + i]];
  return run;
}

/** Writes scalars of the pool as `store_kv_quad` does. */
export function kvWriter(view: Float32Array | Uint16Array): (i: number, value: number) => void {
  if (view instanceof Float32Array) {
    return (i, value) => {
      view[i] = value;
    };
  }
  return (i, value) => {
    // Through f32, as values reach `store_kv_quad`: a fused kernel rounds twice like its twins.
    view[i] = numberToF16(Math.max(-MAX_F16, Math.min(MAX_F16, Math.fround(value))));
  };
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
