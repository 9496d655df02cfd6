// node-llama-cpp: native llama.cpp on the processor, from its prebuilt binary. A reference for what
// the machine can do without WebGPU.

/**
 * @param {object} options
 * @param {string} options.library
 * @param {string} options.file GGUF
 * @param {number} options.threads
 * @param {number} options.streams Requests at once
 * @param {number} options.promptTokens
 * @param {number} options.genTokens
 * @returns {Promise<import("./session.mjs").Session>}
 */
export async function open({ library, file, threads, streams, promptTokens, genTokens }) {
  const { getLlama } = await import(library);
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: threads,
  });
  // Weights mapped from the file would be missing from the memory column.
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, useMmap: false });
  const context = await model.createContext({
    sequences: streams,
    contextSize: promptTokens + genTokens + 8,
    batchSize: Math.max(512, streams * promptTokens),
    threads,
    flashAttention: true,
  });
  const sequences = Array.from({ length: streams }, () => context.getSequence());
  return {
    info: {
      backend: llama.gpu === false ? "cpu" : llama.gpu,
      threads,
      llamaCpp: llama.llamaCppRelease,
    },
    async generate(prompts, genTokens, arrived) {
      /** @param {import("./session.mjs").Prompt} prompt @param {number} index */
      const answer = async ({ ids }, index) => {
        await sequences[index].clearHistory();
        let count = 0;
        const tokens = sequences[index].evaluate(ids, { temperature: 0, yieldEogTokens: true });
        for await (const id of tokens) {
          arrived(index, [id]);
          if (++count === genTokens) break;
        }
      };
      await Promise.all(prompts.map(answer));
    },
    close: () => llama.dispose(),
  };
}
