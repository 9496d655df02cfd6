/** How the next token is chosen, as options; left-out ones come from generation_config.json. */
import type { OptionValues } from "./option.ts";
import { integer, number } from "./option-types.ts";

export const samplingOptions = {
  maxTokens: integer(0, Number.MAX_SAFE_INTEGER, "most new tokens; default: all that fit"),
  temperature: number(0, 100, "0 is greedy"),
  topK: integer(0, 2 ** 31, "0 is off"),
  topP: number(1e-6, 1, "1 is off"),
  minP: number(0, 1, "0 is off"),
  seed: integer(
    Number.MIN_SAFE_INTEGER,
    Number.MAX_SAFE_INTEGER,
    "the same seed gives the same text",
  ),
};

export type SamplingValues = OptionValues<typeof samplingOptions>;
