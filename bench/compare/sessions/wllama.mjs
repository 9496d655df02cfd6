// wllama: llama.cpp as WebAssembly in a page. It takes prompts as text and answers with text, so its
// tokens are told from words that are one token each.

/**
 * @param {object} options
 * @param {string} options.library
 * @param {string} options.wasm
 * @param {string} options.file GGUF
 * @param {string} options.words words.json of the model
 * @param {"gpu" | "cpu"} options.device
 * @param {number} options.threads
 * @param {number} options.streams Requests at once
 * @param {number} options.contextTokens Of all requests together
 * @returns {Promise<import("./session.mjs").Session>}
 */
export async function open(options) {
  const { library, wasm, file, words, device, threads, streams, contextTokens } = options;
  const { Wllama } = await import(library);
  const wllama = new Wllama({ default: wasm }, { suppressNativeLog: false, allowOffline: true });
  const [model, list] = await Promise.all([
    fetch(file).then((response) => response.blob()),
    fetch(words).then((response) => response.json()),
  ]);
  const idOf = new Map(list.map((/** @type {[number, string]} */ [id, text]) => [text, id]));
  await wllama.loadModel([model], {
    n_ctx: contextTokens,
    n_threads: threads,
    n_gpu_layers: device === "gpu" ? 99_999 : 0,
    n_parallel: streams,
    warmup: false,
  });
  const info = {
    threads: wllama.getNumThreads(),
    webgpu: wllama.isSupportWebGPU(),
    llamaCpp: Wllama.getLibllamaVersion(),
  };
  return {
    info,
    async generate(prompts, max_tokens, arrived) {
      /** @param {import("./session.mjs").Prompt} prompt @param {number} index */
      const answer = async ({ text: prompt }, index) => {
        const greedy = { temperature: 0, top_k: 1, ignore_eos: true, cache_prompt: false };
        const request = { prompt, max_tokens, ...greedy, stream: true };
        for await (const { choices } of await wllama.createCompletion(request)) {
          const ids = (choices[0]?.text.match(/ [a-z]+/g) ?? []).map(
            (/** @type {string} */ word) => idOf.get(word) ?? -1,
          );
          if (ids.length > 0) arrived(index, ids);
        }
      };
      await Promise.all(prompts.map(answer));
    },
    close: () => wllama.exit(),
  };
}
