/**
 * What a graph needs from the runtime: named activations, step inputs, weights and KV pools.
 * Declares their sizes; allocates nothing.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import type { KvStorage } from "../kernels/kv-layout.ts";
import type { DecoderSpec } from "./decoder.ts";
import type { Weight } from "./weights.ts";

/** f32 scalars per row of the step. */
export const activationWidths = (spec: DecoderSpec): Record<ActivationName, number> => ({
  hidden: spec.hiddenSize,
  normed: spec.hiddenSize,
  qkv: (spec.numHeads + 2 * spec.numKvHeads) * spec.headDim,
  q: spec.numHeads * spec.headDim,
  attention: spec.numHeads * spec.headDim,
  gated: spec.ffnSize,
});

export type ActivationName = "hidden" | "normed" | "qkv" | "q" | "attention" | "gated";
/** Per token row of the step, u32. */
export type RowInput = "token_ids" | "positions" | "row_sequence";
/** Per sampled row, f32. */
export type HeadName = "sampled_hidden" | "sampled_normed" | "logits";

/** Inputs that differ between KV groups. */
export interface GroupTensors {
  readonly slot_mapping: BufferSlice;
  readonly block_table: BufferSlice;
}

export interface DecoderTensors {
  readonly kvStorage: KvStorage;
  readonly blockTokens: number;
  /** Rotary table of the model, at least 16 bytes. */
  readonly rope_table: BufferSlice;
  readonly last_token: BufferSlice;
  readonly sampled_rows: BufferSlice;
  /** Rows that go through the one-row attention kernel. */
  readonly decode_rows: BufferSlice;
  readonly query_tiles: BufferSlice;
  readonly attention_partials: BufferSlice;
  activation(name: ActivationName | HeadName | RowInput): BufferSlice;
  weight(name: string): Weight;
  kvPool(layer: number): BufferSlice;
  group(index: number): GroupTensors;
}
