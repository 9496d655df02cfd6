// Where things lie: in the checkout, and in the pages that a runner serves.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const BENCH = join(import.meta.dirname, "..");
export const ROOT = join(BENCH, "..");
export const CACHE = join(BENCH, ".cache");
export const MODELS = join(CACHE, "models");
export const PACKAGES = join(BENCH, "node_modules");

/** What a page's server answers with: URL prefix -> folder. */
export const MOUNTS = {
  "/packages/": PACKAGES,
  "/models/": MODELS,
  "/compare/": import.meta.dirname,
};
/** Weft bundled for a page. */
export const WEFT_BUNDLE = "/weft.js";

/**
 * What the session module of a subject's engine is opened with.
 * @param {import("./subjects.mjs").Subject} subject
 * @param {{ size: string, promptTokens: number, genTokens: number, streams: number, threads: number }} load
 */
export function sessionOptions({ engine, host, device, weights }, load) {
  const { size, promptTokens, genTokens, streams, threads } = load;
  const models = host === "node" ? `${MODELS}/` : "/models/";
  const model = `rand-${size}`;
  const file = `${models}${model}-${weights}.gguf`;
  switch (engine) {
    case "weft": {
      const built = pathToFileURL(join(ROOT, "dist", "node.js")).href;
      const library = host === "node" ? built : WEFT_BUNDLE;
      return { library, model: weights === "f16" ? models + model : file, device };
    }
    case "transformers": {
      const dtype = weights;
      if (host === "node") return { library: "@huggingface/transformers", models, model, dtype };
      const library = "/packages/@huggingface/transformers/dist/transformers.min.js";
      return { library, models, model, dtype, wasm: "/packages/onnxruntime-web/dist/" };
    }
    case "wllama": {
      const library = "/packages/@wllama/wllama/esm/index.js";
      const wasm = "/packages/@wllama/wllama/esm/wasm/wllama.wasm";
      const words = `${models}${model}/words.json`;
      const contextTokens = streams * (promptTokens + genTokens + 8);
      return { library, wasm, file, words, device, threads, streams, contextTokens };
    }
    case "node-llama":
      return { library: "node-llama-cpp", file, threads, streams, promptTokens, genTokens };
  }
}
