/**
 * What a graph needs from the runtime: named activations, step inputs, weights and KV pools.
 * Declares their sizes; allocates nothing.
 */
import { attentionShapeDims } from "../kernels/attention-work.ts";
import type { BufferSlice } from "../kernels/kernel.ts";
import type { KvStorage } from "../kernels/kv-layout.ts";
import { latentShapeDims } from "../kernels/latent-layout.ts";
import type { DecoderSpec } from "./decoder.ts";
import { latentRow } from "./latent.ts";
import type { MatmulChoices } from "./matmul-choice.ts";
import { type MoeSpec, routerColumns } from "./moe.ts";
import type { Weight } from "./weights.ts";

/** Rows of the largest block of slots that a shape takes. */
const MOST_BLOCK_ROWS = 64;

/** Of a mixture of experts; blocks.ts says what `places` and `blocks` hold. */
export function expertWidths({ layers, hiddenSize: D }: DecoderSpec) {
  const moes = layers.flatMap(({ moe }) => moe ?? []);
  const most = (of: (moe: MoeSpec) => number) => Math.max(0, ...moes.map(of));
  const k = most(({ router }) => router.chosen);
  return {
    router_logits: most(routerColumns),
    expert_ids: k,
    expert_weights: k,
    expert_places: k * MOST_BLOCK_ROWS,
    expert_blocks: 2 * k,
    expert_gated: most(({ router, ffnSize }) => router.chosen * ffnSize),
    expert_out: k * D,
    shared_out: most(({ shared }) => (shared ? D : 0)),
  };
}

/** Of gated short convolutions: what they take, three rows in one, and give. */
function convolutionWidths({ layers, hiddenSize: D }: DecoderSpec) {
  const convolves = layers.some(({ convolution }) => convolution);
  return { conv_in: convolves ? 3 * D : 0, convolved: convolves ? D : 0 };
}

/** Of attention: per head, and by way of latents. */
function attentionWidths({ layers, numHeads: N, numKvHeads: K, headDim: H }: DecoderSpec) {
  const latents = layers.flatMap(({ latent }) => latent ?? []);
  const most = (of: (latent: (typeof latents)[number]) => number) =>
    Math.max(0, ...latents.map(of));
  const ofHeads = layers.some(({ latent, convolution }) => !latent && !convolution) ? H : 0;
  const queryRank = most((latent) => latent.queryRank ?? 0);
  return {
    qkv: (N + 2 * K) * ofHeads,
    q:
      N *
      Math.max(
        ofHeads,
        most(({ nopeDims, ropeDims }) => nopeDims + ropeDims),
      ),
    attended:
      N *
      Math.max(
        ofHeads,
        most(({ valueDims }) => valueDims),
      ),
    q_down: queryRank,
    q_down_normed: queryRank,
    kv_down: most(latentRow),
    q_latent: N * most(latentRow),
    attended_latent: N * most(({ rank }) => rank),
  };
}

/** 32-bit scalars per token row. */
export const activationWidths = (spec: DecoderSpec) => ({
  ...expertWidths(spec),
  ...attentionWidths(spec),
  hidden: spec.hiddenSize,
  normed: spec.hiddenSize,
  packed: spec.hiddenSize,
  ...convolutionWidths(spec),
  gated: Math.max(
    0,
    ...spec.layers.map(({ moe }) => (moe ? (moe.shared?.ffnSize ?? 0) : spec.ffnSize)),
  ),
});

/**
 * Bytes of split decode's scratch per KV tile, in the layers that need most.
 * @throws {KernelError} `bad_shape`.
 */
export function partialBytes(spec: DecoderSpec, B: number): number {
  const { layers, numHeads: N, numKvHeads: K, headDim: H } = spec;
  const sizes = layers.map(({ latent }) => {
    const { J, Z } = latent
      ? latentShapeDims({ N, H: latent.rank, R: latent.ropeDims, B })
      : attentionShapeDims({ N, K, B, H });
    return 16 * J * Z;
  });
  return Math.max(...sizes);
}

/** f32 scalars per sampled row. */
export const headWidths = (spec: DecoderSpec) => ({
  sampled_hidden: spec.hiddenSize,
  sampled_normed: spec.hiddenSize,
  logits: spec.vocabSize,
});

export type ActivationName =
  | keyof ReturnType<typeof activationWidths>
  | keyof ReturnType<typeof headWidths>;

/** Step inputs of one KV group; of one with taps, only `tap_slots`. */
export interface GroupTensors {
  /** `[T,L]`: slots of each token and of those before it, the oldest first; 0 where there is none. */
  readonly tap_slots: BufferSlice;
  /** `[T,2]`: position and KV slot of each token. */
  readonly token_places: BufferSlice;
  readonly block_table: BufferSlice;
  readonly decode_tiles: BufferSlice;
  readonly decode_rows: BufferSlice;
  readonly query_tiles: BufferSlice;
}

/** Slots that the experts of some layers share: as many matrices in each stack, whoever's they are. */
export interface ExpertPool {
  readonly slots: number;
  readonly gateUp: Weight;
  readonly down: Weight;
  /** `[slots,2·F]` and `[slots,D]`. */
  readonly biases?: { readonly gateUp: BufferSlice; readonly down: BufferSlice };
}

/** Of requests that go to experts of their own. */
export interface AdapterTensors {
  /** Adapters, the one without any included. */
  readonly count: number;
  /** u32 by row of the step, `[T]`, or of the rows that are sampled, `[R]`. */
  rows(rows: "T" | "R"): BufferSlice;
  /** `[count,E]`: matrices of a layer's stack. */
  expertOf(layer: number): BufferSlice;
}

export interface DecoderTensors {
  readonly adapters?: AdapterTensors;
  readonly kvStorage: KvStorage;
  readonly matmul: MatmulChoices;
  /** B: tokens per block. */
  readonly blockTokens: number;
  /** M: columns of a block table. */
  readonly maxBlocks: number;
  readonly token_ids: BufferSlice;
  readonly sampled_rows: BufferSlice;
  readonly last_token: BufferSlice;
  /** Scratch of split decode: m, l and output of each KV tile. */
  readonly partials: BufferSlice;
  activation(name: ActivationName): BufferSlice;
  /** @throws when the name is not among `decoderWeights(spec)`. */
  weight(name: string): Weight;
  kvPool(layer: number): BufferSlice;
  /** Of a layer whose experts come and go; undefined where all have their place. */
  expertPool(layer: number): ExpertPool | undefined;
  /** `[C,R]`; 16 bytes of anything where nothing rotates. */
  ropeTable(layer: number): BufferSlice;
  group(index: number): GroupTensors;
}
