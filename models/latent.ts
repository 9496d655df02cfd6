/**
 * Multi-head latent attention in place of keys and values per head, as plain data: what a layer keeps of
 * a token is one latent and one rotated key for all heads. latent-attention.ts turns it into kernel calls.
 */

import { KernelError } from "../kernels/errors.ts";
import type { KvStorage } from "../kernels/kv-layout.ts";
import { type LatentStorage, latentRowBytes, latentShapeDims } from "../kernels/latent-layout.ts";
import { requireChunkedColumns } from "../kernels/matmul-kernel.ts";
import { matrix, vector, type WeightSpec } from "./weight-spec.ts";

export interface LatentSpec {
  /** Dims of the latent, `kv_lora_rank`. */
  readonly rank: number;
  /** Dims of a query head, and of the one key, that rotate. */
  readonly ropeDims: number;
  /** Dims of a query head that do not, and meet keys made of the latent. */
  readonly nopeDims: number;
  readonly valueDims: number;
  /** Of the latent that queries are made of; they are projected directly where absent. */
  readonly queryRank?: number;
  /** Of the norms of both latents. */
  readonly normEps: number;
}

/** Values that a layer keeps of a token. */
export const latentRow = ({ rank, ropeDims }: LatentSpec): number => rank + ropeDims;

/** Whoever plans a model's cache has refused int8 for it (runtime/check-load-options.ts). */
export const latentStorage = (storage: KvStorage): LatentStorage => storage as LatentStorage;

export const latentTokenBytes = (latent: LatentSpec, storage: KvStorage): number =>
  latentRowBytes(latentStorage(storage), latentRow(latent));

/** Rows of the up-projection that belong to one head: of its keys, then of its values. */
export const headRows = ({ nopeDims, valueDims }: LatentSpec): number => nopeDims + valueDims;

/** @throws {KernelError} `bad_shape`. */
export function checkLatent(latent: LatentSpec, N: number): void {
  latentShapeDims({ N, H: latent.rank, R: latent.ropeDims, B: 32 });
  if (latent.nopeDims % 4 !== 0) {
    throw new KernelError(
      "bad_shape",
      `qk_nope_head_dim is ${latent.nopeDims} dims, latent attention needs a multiple of 4; this model is not supported`,
    );
  }
  requireChunkedColumns("num_attention_heads × v_head_dim", N * latent.valueDims);
  if (latent.queryRank) requireChunkedColumns("q_lora_rank", latent.queryRank);
}

/**
 * The names are those of DeepSeek's checkpoints. The up-projection of the latent is one matrix, each
 * head's keys before its values.
 */
export function latentWeights(
  at: (name: string) => string,
  attention: string,
  latent: LatentSpec,
  { D, N }: { readonly D: number; readonly N: number },
): WeightSpec[] {
  const { rank, ropeDims, nopeDims, queryRank } = latent;
  const queries = N * (nopeDims + ropeDims);
  const queryWeights = queryRank
    ? [
        matrix(at("q_down"), D, [[`${attention}.q_a_proj`, queryRank]]),
        vector(at("q_norm"), [[`${attention}.q_a_layernorm.weight`, queryRank]]),
        matrix(at("q_up"), queryRank, [[`${attention}.q_b_proj`, queries]]),
      ]
    : [matrix(at("q"), D, [[`${attention}.q_proj`, queries]])];
  const upRows = N * headRows(latent);
  return [
    ...queryWeights,
    matrix(at("kv_down"), D, [[`${attention}.kv_a_proj_with_mqa`, latentRow(latent)]]),
    vector(at("kv_norm"), [[`${attention}.kv_a_layernorm.weight`, rank]]),
    // Whole: its heads are multiplied by one call.
    matrix(at("kv_up"), rank, [[`${attention}.kv_b_proj`, upRows]], { unit: upRows }),
  ];
}
