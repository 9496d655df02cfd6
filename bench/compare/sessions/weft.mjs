// Weft through its public door, in Node and in a page. Defaults, but for the bound on a plan's time:
// the peers have none.

/**
 * @param {{ library: string, model: string, device: "gpu" | "reference" }} options
 * @returns {Promise<import("./session.mjs").Session>}
 */
export async function open({ library, model, device }) {
  /** @type {typeof import("../../../index.ts")} */
  const { createEngine } = await import(library);
  const engine = await createEngine({ model, device, quantumMs: Number.POSITIVE_INFINITY });
  const { adapter, kind, tier } = engine.device.info;
  return {
    info: { adapter, backend: kind, tier },
    async generate(prompts, maxTokens, arrived) {
      /** @param {import("./session.mjs").Prompt} prompt @param {number} index */
      const answer = async ({ ids: prompt }, index) => {
        const request = { prompt, maxTokens, temperature: 0, ignoreEos: true };
        for await (const { tokenIds } of engine.generate(request)) {
          if (tokenIds.length > 0) arrived(index, tokenIds);
        }
      };
      await Promise.all(prompts.map(answer));
    },
    close: () => engine.close(),
  };
}
