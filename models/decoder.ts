/**
 * What a decoder-only transformer is made of, as plain data: sizes, layer by layer differences,
 * tensor names. Model files produce it from config.json; blocks.ts turns it into kernel calls.
 */
import type { Activation } from "../kernels/activation.ts";
import type { RopeSpec } from "../kernels/rope-tables.ts";
import type { MoeSpec } from "./moe.ts";

export interface DecoderLayer {
  /** Tokens a query sees, itself included; undefined sees all. */
  readonly window?: number;
  /** False for NoPE layers. */
  readonly rotary: boolean;
  /** In place of the MLP. */
  readonly moe?: MoeSpec;
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
  readonly activation: Activation;
  readonly rope: RopeSpec;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm over each query and key head, before RoPE. */
  readonly qkNorm: boolean;
  /** The LM head is the embedding matrix. */
  readonly tiedEmbeddings: boolean;
  readonly layers: readonly DecoderLayer[];
}

/** Layers that share block tables: same window, so the same tokens stay visible. */
export interface LayerGroup {
  readonly window?: number;
  readonly layers: readonly number[];
}

export function layerGroups({ layers }: DecoderSpec): LayerGroup[] {
  const byWindow = new Map<number | undefined, number[]>();
  layers.forEach(({ window }, index) => {
    byWindow.set(window, [...(byWindow.get(window) ?? []), index]);
  });
  return [...byWindow].map(([window, members]) => ({ window, layers: members }));
}

/** embed, (attention, mlp) × L, head. */
export const numStages = ({ layers }: DecoderSpec): number => 2 * layers.length + 2;
