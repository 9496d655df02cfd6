/** How a model's texts become vectors where the request does not say: as its folder does, or not at all. */
import type { ModelFiles } from "../model-folder/config-files.ts";
import type { Pooling } from "../pooling.ts";
import { refuse } from "../request.ts";

/** As sentence-transformers names them in 1_Pooling/config.json. */
const MODES: Readonly<Record<string, Pooling>> = {
  pooling_mode_mean_tokens: "mean",
  pooling_mode_cls_token: "cls",
  pooling_mode_lasttoken: "last",
};

/**
 * A model of which nothing is said reads forwards, and knows most at its last token.
 * @throws {WeftError} `bad_request` for a model that pools otherwise, or in several ways at once.
 */
export function modelPooling(config: ModelFiles["pooling"]): Pooling {
  const named = Object.keys(config).filter(
    (name) => name.startsWith("pooling_mode_") && config[name] === true,
  );
  if (named.length === 0) return "last";
  const pooling = named.length === 1 ? MODES[named[0]] : undefined;
  if (!pooling) {
    const own = `that of the model: ${named.join(", ")}`;
    refuse("pooling", own, "mean, last or cls; name one, though the model was not trained for it");
  }
  return pooling;
}
