/** Sizes of the models that the lab measures: what kernels see of them, and nothing else. */
export interface ModelShape {
  readonly name: string;
  /** D */
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** F; of one expert where the model has experts. */
  readonly ffnSize: number;
  /** And how many of them each token goes to. */
  readonly experts?: { readonly count: number; readonly chosen: number };
  /** Beside keys and values per head: the same heads by way of a latent. */
  readonly latent?: LatentShape;
  readonly vocabSize: number;
  /** RMSNorm over each query and key head. */
  readonly qkNorm: boolean;
  /** Rows that are computed together: decode alone, decode of a batch, a chunk of a prompt. */
  readonly rows: readonly [single: number, batch: number, prompt: number];
  /** Positions that a decoded row sees. */
  readonly contextTokens: number;
}

export interface LatentShape {
  readonly rank: number;
  readonly ropeDims: number;
  readonly nopeDims: number;
  readonly valueDims: number;
}

const real = { rows: [1, 8, 512], contextTokens: 1024 } as const;
const qwen3 = { ...real, headDim: 128, numKvHeads: 8, vocabSize: 151_936, qkNorm: true };

/** Small enough for a software driver; tells nothing about a GPU. */
export const tinyShape: ModelShape = {
  name: "tiny",
  hiddenSize: 256,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 64,
  ffnSize: 768,
  experts: { count: 8, chosen: 2 },
  latent: { rank: 64, ropeDims: 32, nopeDims: 32, valueDims: 64 },
  vocabSize: 2048,
  qkNorm: true,
  rows: [1, 8, 64],
  contextTokens: 256,
};

/** From the models' config.json. */
export const realShapes: readonly ModelShape[] = [
  {
    ...real,
    name: "llama-3.2-1b",
    hiddenSize: 2048,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 64,
    ffnSize: 8192,
    vocabSize: 128_256,
    qkNorm: false,
  },
  { ...qwen3, name: "qwen3-0.6b", hiddenSize: 1024, numHeads: 16, ffnSize: 3072 },
  { ...qwen3, name: "qwen3-1.7b", hiddenSize: 2048, numHeads: 16, ffnSize: 6144 },
  { ...qwen3, name: "qwen3-4b", hiddenSize: 2560, numHeads: 32, ffnSize: 9728 },
  // As a dense MLP one of the 128 experts, and all of them as what they are.
  {
    ...qwen3,
    name: "qwen3-30b-a3b",
    hiddenSize: 2048,
    numHeads: 32,
    numKvHeads: 4,
    ffnSize: 768,
    experts: { count: 128, chosen: 8 },
  },
  // Its attention as it is, and as if it kept a key and a value of each head.
  {
    ...real,
    name: "deepseek-v2-lite",
    ...{ hiddenSize: 2048, numHeads: 16, numKvHeads: 16, headDim: 128 },
    ffnSize: 1408,
    experts: { count: 64, chosen: 6 },
    latent: { rank: 512, ropeDims: 64, nopeDims: 128, valueDims: 128 },
    ...{ vocabSize: 102_400, qkNorm: false },
  },
];

export const modelShapes: readonly ModelShape[] = [tinyShape, ...realShapes];
