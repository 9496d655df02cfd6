/**
 * The kinds of blocks that few families have, with their kernels: imported when a model has them, before
 * its graph is built. Attention per head and gated MLPs are no part of this: blocks.ts has them.
 */
import type { DecoderSpec } from "./decoder.ts";

/** Each is there where a layer of the model needs it. */
export interface BlockKinds {
  readonly convolution?: typeof import("./short-conv.ts");
  readonly experts?: typeof import("./moe-block.ts");
  readonly latent?: typeof import("./latent-attention.ts");
}

export async function blockKinds({ layers }: DecoderSpec): Promise<BlockKinds> {
  return {
    ...(layers.some(({ convolution }) => convolution) && {
      convolution: await import("./short-conv.ts"),
    }),
    ...(layers.some(({ moe }) => moe) && { experts: await import("./moe-block.ts") }),
    ...(layers.some(({ latent }) => latent) && { latent: await import("./latent-attention.ts") }),
  };
}
