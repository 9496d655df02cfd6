/**
 * What a decoder-only transformer is made of, as plain data: sizes, layer by layer differences,
 * tensor names. Model files produce it from config.json; blocks.ts turns it into kernel calls.
 */
import type { Activation } from "../kernels/activation.ts";
import { type KvStorage, kvRowBytes } from "../kernels/kv-layout.ts";
import type { RopeSpec } from "../kernels/rope-tables.ts";
import { type LatentSpec, latentTokenBytes } from "./latent.ts";
import type { MoeSpec } from "./moe.ts";

export interface DecoderLayer {
  /** Tokens a query sees, itself included; undefined sees all. */
  readonly window?: number;
  /** Absent in NoPE layers; layers of one object share its table. */
  readonly rope?: RopeSpec;
  /** In place of keys and values per head. */
  readonly latent?: LatentSpec;
  /** In place of the MLP. */
  readonly moe?: MoeSpec;
  /** In place of attention; short-conv.ts turns it into kernel calls. */
  readonly convolution?: ConvolutionSpec;
}

/** A gated short convolution: c · conv(b · x), with b, c and x from one projection. */
export interface ConvolutionSpec {
  /** L: tokens that a token sees, itself included. */
  readonly taps: number;
  /** Of both projections and of the convolution. */
  readonly bias: boolean;
}

export interface DecoderSpec {
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly ffnSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly normEps: number;
  /** Where RMSNorm stands: before attention and MLP, after them on what they add, or both. */
  readonly norms: "pre" | "post" | "both";
  readonly activation: Activation;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm before RoPE of each query and key head, or of all queries and all keys of a row. */
  readonly qkNorm: false | "head" | "row";
  /** What stored norm weights lack: Gemma stores w and means 1 + w. */
  readonly normOffset?: 1;
  /** Of scores; 1/√headDim when absent. */
  readonly attentionScale?: number;
  /** Of embeddings, of what each block adds to the residual stream, of logits; 1 when absent. */
  readonly embeddingScale?: number;
  readonly residualScale?: number;
  readonly logitScale?: number;
  /** Soft caps, cap · tanh(x / cap), of scores and of logits; none when absent. */
  readonly attentionCap?: number;
  readonly logitCap?: number;
  /** A score per head that joins the softmax and has no value. */
  readonly attentionSinks?: boolean;
  /** The LM head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
  /** Checkpoints have Q, K and V in one tensor, and the MLP's gates and values in another. */
  readonly fusedProjections?: boolean;
  /** What checkpoints call tensors, by their names in llama's: of the model, or within a layer. */
  readonly tensorNames?: Readonly<Record<string, string>>;
  readonly layers: readonly DecoderLayer[];
  /** Layers that may run twice in a row: their first runs have keys and values of their own. */
  readonly repeatable?: readonly number[];
  /** KV cache: layers of one number here share block tables, if they could at all; default all. */
  readonly tables?: readonly number[];
}

/** Layers that share block tables: they keep the same of a token, and see the same tokens. */
export interface LayerGroup {
  readonly window?: number;
  readonly latent?: LatentSpec;
  /** First runs of repeatable layers count from `spec.layers.length` on. */
  readonly layers: readonly number[];
  /** Of first runs: held only by sequences whose plan repeats. */
  readonly isExtra?: boolean;
  /** Of a convolution's layers, whose window it is: a row of hidden size is kept, not keys and values. */
  readonly taps?: number;
  /** What one layer keeps of a token. */
  tokenBytes(storage: KvStorage): number;
}

export function layerGroups(spec: DecoderSpec): LayerGroup[] {
  const { layers, numKvHeads, headDim, hiddenSize, repeatable = [], tables } = spec;
  const byKind = new Map<string, number[]>();
  const ofRuns = [...layers.keys(), ...repeatable];
  ofRuns.forEach((layer, index) => {
    const { window, latent, convolution } = layers[layer];
    const isExtra = index >= layers.length;
    const table = isExtra ? undefined : tables?.[layer];
    const kind = JSON.stringify({ window, latent, taps: convolution?.taps, isExtra, table });
    byKind.set(kind, [...(byKind.get(kind) ?? []), index]);
  });
  const keysAndValues = (storage: KvStorage) => 2 * numKvHeads * kvRowBytes(storage, headDim);
  return [...byKind.values()].map((members): LayerGroup => {
    const { window, latent, convolution } = layers[ofRuns[members[0]]];
    const isExtra = members[0] >= layers.length;
    if (convolution) {
      const { taps } = convolution;
      return { window: taps, taps, layers: members, isExtra, tokenBytes: () => 4 * hiddenSize };
    }
    const tokenBytes = latent
      ? (storage: KvStorage) => latentTokenBytes(latent, storage)
      : keysAndValues;
    return { window, latent, layers: members, isExtra, tokenBytes };
  });
}

/** embed, (attention, mlp) × L, head; layers that may run twice count twice. */
export const numStages = ({ layers, repeatable = [] }: DecoderSpec): number =>
  2 * (layers.length + repeatable.length) + 2;
