/**
 * What a GGUF file's `general.architecture` says without a key of its own: what its converter does to
 * tensors, and what llama.cpp computes whatever the metadata says. Owns which architectures are known.
 */

export interface Architecture {
  /** In config.json, where it is not the architecture's name. */
  readonly modelType?: string;
  /** The converter interleaves the halves of each query and key head, as ggml rotates them. */
  readonly interleaves?: boolean;
  /** The converter adds 1 to the weights of norms. */
  readonly normsHaveOne?: boolean;
  /** Layers without keys and values convolve. */
  readonly convolves?: boolean;
  /** Keys below its name that other architectures do not have: config.json's name of each. */
  readonly numbers?: Readonly<Record<string, string>>;
  /**
   * Of so many layers the last sees all, the others a window; of a size, where no key says it. "none" where
   * the model file knows no windows, undefined where a window is in all layers.
   */
  readonly windows?: "none" | { readonly period: number; readonly size?: number };
  /** `rope.scaling.finetuned` says whether it rotates at all. */
  readonly switchesRope?: boolean;
  /** The dimension of a head that rotates may be less than its size. */
  readonly rotatesPart?: boolean;
  /** RoPE scalings beside linear and llama3. */
  readonly ropeScaling?: "longrope" | "yarn";
  /** θ of layers with a window, where no key says it: one of their own. */
  readonly windowRopeBase?: number;
  /** Layers of the one model of Gemma whose scores are scaled by hidden size and heads, not head size. */
  readonly scaledByHiddenSize?: number;
  readonly experts?: Experts;
}

export interface Experts {
  /** A model may have none. */
  readonly optional?: boolean;
  /** `expert_feed_forward_length` is theirs; else `feed_forward_length` is. */
  readonly ownSize?: boolean;
  /** An MLP for every token: always, or where it has a size. */
  readonly shared?: "always" | "sized";
  /** Weights of the chosen add up to 1. */
  readonly renormalised: boolean;
  /** Scores are logits by themselves, the first layers dense, and weights may be scaled. */
  readonly sigmoid?: boolean;
}

const RENORMALISED: Experts = { renormalised: true };

/**
 * Mistral and Mixtral are stored as llama, and SmolLM3's converter is llama's, which reorders the rows of
 * NoPE layers too.
 * @see https://github.com/ggml-org/llama.cpp/tree/master/conversion (undo_permute, norm_shift)
 * @see https://github.com/ggml-org/llama.cpp/tree/master/src/models (load_arch_hparams, build_moe_ffn)
 */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { interleaves: true, experts: { ...RENORMALISED, optional: true } },
  smollm3: { interleaves: true, windows: "none" },
  qwen2: {},
  qwen3: {},
  lfm2: { convolves: true, windows: "none" },
  lfm2moe: {
    modelType: "lfm2_moe",
    convolves: true,
    windows: "none",
    experts: { ...RENORMALISED, ownSize: true, sigmoid: true },
  },
  ...granites(),
  gemma2: {
    normsHaveOne: true,
    numbers: {
      attn_logit_softcapping: "attn_logit_softcapping",
      final_logit_softcapping: "final_logit_softcapping",
    },
    windows: { period: 2, size: 4096 },
    scaledByHiddenSize: 46,
  },
  gemma3: {
    modelType: "gemma3_text",
    normsHaveOne: true,
    numbers: { final_logit_softcapping: "final_logit_softcapping" },
    windows: { period: 6 },
    windowRopeBase: 10_000,
    scaledByHiddenSize: 62,
  },
  olmo2: { windows: "none" },
  phi3: { rotatesPart: true, ropeScaling: "longrope" },
  qwen3moe: { modelType: "qwen3_moe", experts: { ...RENORMALISED, ownSize: true } },
  olmoe: { windows: "none", experts: { renormalised: false } },
  qwen2moe: {
    modelType: "qwen2_moe",
    experts: { renormalised: false, ownSize: true, shared: "always" },
  },
  "gpt-oss": {
    modelType: "gpt_oss",
    windows: { period: 2, size: 128 },
    ropeScaling: "yarn",
    experts: RENORMALISED,
  },
};

function granites(): Readonly<Record<"granite" | "granitemoe", Architecture>> {
  const granite: Architecture = {
    interleaves: true,
    windows: "none",
    switchesRope: true,
    numbers: {
      "attention.scale": "attention_multiplier",
      embedding_scale: "embedding_multiplier",
      residual_scale: "residual_multiplier",
      logit_scale: "logits_scaling",
    },
  };
  return { granite, granitemoe: { ...granite, experts: { ...RENORMALISED, shared: "sized" } } };
}
