/** How adventurous answers are, in the Prompt API's words and in ours. */

export type SamplingMode =
  | "most-predictable"
  | "predictable"
  | "balanced"
  | "creative"
  | "most-creative";

export interface SamplingOptions {
  readonly samplingMode?: SamplingMode;
  readonly topK?: number;
  readonly temperature?: number;
}

export interface Sampling {
  readonly temperature?: number;
  readonly top_k?: number;
}

/** `balanced` is what the model's publisher recommends. */
const MODES: Readonly<Record<SamplingMode, Sampling>> = {
  "most-predictable": { temperature: 0 },
  predictable: { temperature: 0.4 },
  balanced: {},
  creative: { temperature: 1 },
  "most-creative": { temperature: 1.3 },
};

/** @throws {TypeError} For both at once, or a mode that is none. */
export function readSampling({ samplingMode, topK, temperature }: SamplingOptions): Sampling {
  if (samplingMode === undefined) {
    return {
      ...(temperature !== undefined && { temperature }),
      ...(topK !== undefined && { top_k: topK }),
    };
  }
  if (topK !== undefined || temperature !== undefined) {
    throw new TypeError(
      "samplingMode goes without topK and temperature; leave one or the other out",
    );
  }
  if (!Object.hasOwn(MODES, samplingMode)) {
    throw new TypeError(
      `samplingMode is ${samplingMode}, it must be one of ${Object.keys(MODES).join(", ")}`,
    );
  }
  return MODES[samplingMode];
}
