/**
 * How the cache of multi-head latent attention lies in the block pool: one row per position, which all
 * heads share. Owns the index formula and the sizes that kernels run; allocates nothing.
 *
 *   kv_pool [P,B,X]   block, position in the block; H dims of the normalised latent, then R rotated ones
 *
 * X = H + R. A key is the whole row, a value its first H dims. Rounded as keys and values of other
 * models are (kv-layout.ts). There are no int8 rows: one scale would serve a latent and a key, whose
 * sizes have nothing to do with each other.
 */
import type { CacheView, PagedPool } from "./attention-reference.ts";
import { HEAD_QUAD } from "./attention-work.ts";
import { KernelError } from "./errors.ts";
import { type Binding, type Dims, read, wgsl, write } from "./kernel.ts";
import { kvRun, plainQuads } from "./kv-layout.ts";

export type LatentStorage = "f32" | "f16";
export const latentStorages: readonly LatentStorage[] = ["f32", "f16"];

const SHAPE = "P,B,X";
const scalar = { f32: "vec4<f32>", f16: "vec2<u32>" } as const;

export const latentPoolRead = (storage: LatentStorage): Binding => ({
  ...read(SHAPE, scalar[storage], storage),
  raw: true,
});
export const latentPoolWrite = (storage: LatentStorage): Binding =>
  write(SHAPE, scalar[storage], storage);

/** Bytes of one position. */
export const latentRowBytes = (storage: LatentStorage, X: number): number =>
  (storage === "f32" ? 4 : 2) * X;

/**
 * Reading a tile, as `kvLoadWgsl` of kv-layout.ts has it; there is one KV head, and plane 1 is the
 * beginning of plane 0. Needs `load_block_table`, overrides B and KEY_QUADS.
 */
export const latentLoadWgsl = (storage: LatentStorage, tile: number): string => wgsl`
/** Pool index of the first position in each block of the tile. */
var<workgroup> block_starts: array<u32, ${tile / 16}>;

fn kv_quad(plane: u32, j: u32, d4: u32) -> vec4<f32> {
  let stored = load_kv_pool(block_starts[j / B] + j % B * KEY_QUADS + d4);
  return ${plainQuads[storage].load};
}
fn open_kv_tile(lane: u32, table: u32, kv_head: u32, low: u32, high: u32) {
  if (lane >= low / B && lane <= (high - 1u) / B) {
    block_starts[lane] = load_block_table(table + lane) * B * KEY_QUADS;
  }
  workgroupBarrier();
}`;

/** `fn put_latent(slot, d4, v)`: four dims of a position; slot = block·B + offset. Needs param X. */
export const latentStoreWgsl = (storage: LatentStorage): string => wgsl`
fn put_latent(slot: u32, d4: u32, v: vec4<f32>) {
  let at = slot * (params.X / 4u) + d4;
  ${plainQuads[storage].store}
}`;

export interface LatentPool extends PagedPool {
  readonly H: number;
  readonly X: number;
}

/** What the references of attention read. */
export const latentCache = ({ pool, table, M, B, H, X }: LatentPool): CacheView => ({
  ...{ keyDims: X, valueDims: H, rowDims: X },
  run(_plane, sequence, _kvHead, position, high) {
    const block = table[sequence * M + Math.floor(position / B)];
    const start = (block * B + (position % B)) * X;
    const count = Math.min(high - position, B - (position % B));
    return kvRun(pool, { K: 1, B, H: X }, start, start + count * X);
  },
});

/** Largest latent: two quads of heads with its dims are the lanes of a workgroup. */
const MAX_LATENT = 512;
/** Of a workgroup: its lanes hold four dims of a quad of heads each. */
export const HEAD_QUADS_PER_GROUP = 2;

/** Workgroups that share the heads of a row. */
export const latentHeadGroups = ({ J }: Dims): number => Math.ceil(J / HEAD_QUADS_PER_GROUP);

export interface LatentShape {
  readonly N: number;
  readonly H: number;
  readonly R: number;
  readonly B: number;
}

/**
 * Dims that depend on the model alone: J quads of heads, Z rows of a partial result (m, l and H outputs).
 * @throws {KernelError} "bad_shape"
 */
export function latentShapeDims({ N, H, R, B }: LatentShape): { J: number; Z: number; X: number } {
  const refuse = (what: string, cure: string): never => {
    throw new KernelError("bad_shape", `latent attention ${what}; ${cure}`);
  };
  if (H < 32 || H > MAX_LATENT || H % 32 !== 0) {
    refuse(`got a latent of ${H} dims, needs a multiple of 32 up to ${MAX_LATENT}`, NEW_KERNEL);
  }
  if (R < 8 || R % 8 !== 0 || H + R > 1024) {
    refuse(`got ${R} rotated dims, needs a multiple of 8 that fits beside the latent`, NEW_KERNEL);
  }
  if (B !== 16 && B !== 32) refuse(`got blocks of B ${B} positions`, "use 32 or 16");
  return { J: Math.ceil(N / HEAD_QUAD), Z: H + 2, X: H + R };
}

const NEW_KERNEL = "the model needs a new kernel";
