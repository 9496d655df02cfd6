// transformers.js: onnxruntime with its WebGPU provider, in Node (Dawn) and in a page. Several
// requests are one static batch: the library has no continuous batching.

/**
 * @param {{ library: string, models: string, model: string, dtype: string, wasm?: string }} options
 *   `models`: folder or URL that ends in a slash; `wasm`: where a page finds onnxruntime's files
 * @returns {Promise<import("./session.mjs").Session>}
 */
export async function open({ library, models, model, dtype, wasm }) {
  const { AutoModelForCausalLM, Tensor, env } = await import(library);
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: models });
  Object.assign(env, { useBrowserCache: false, useFSCache: false, useWasmCache: false });
  if (wasm) env.backends.onnx.wasm.wasmPaths = wasm;
  env.backends.onnx.logLevel = "error";
  const load = (/** @type {object} */ session_options) =>
    AutoModelForCausalLM.from_pretrained(model, { dtype, device: "webgpu", session_options });
  const causal = await load({});
  return {
    info: { onnxruntime: env.backends.onnx.versions?.common },
    async generate(prompts, genTokens, arrived) {
      const shape = [prompts.length, prompts[0].ids.length];
      const ids = BigInt64Array.from(prompts.flatMap((prompt) => prompt.ids.map(BigInt)));
      let isPrompt = true;
      const streamer = {
        // Called with the prompts, then with one id per stream and step.
        put(/** @type {bigint[][]} */ tokens) {
          for (const [stream, [id]] of isPrompt ? [] : tokens.entries())
            arrived(stream, [Number(id)]);
          isPrompt = false;
        },
        end() {},
      };
      await causal.generate({
        input_ids: new Tensor("int64", ids, shape),
        attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), shape),
        do_sample: false,
        max_new_tokens: genTokens,
        streamer,
      });
    },
    // Says on which provider each node runs, when a session is made. Too many words for timed runs.
    async inspect() {
      env.backends.onnx.logLevel = "verbose";
      const second = await load({ logSeverityLevel: 0 });
      await second.dispose();
    },
    close: async () => {},
  };
}
