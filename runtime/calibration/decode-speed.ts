/** How fast one request decodes by a layer policy. */
import type { Engine } from "../engine.ts";
import type { LayerPolicy } from "../layer-policy.ts";

export interface DecodeSpeedOptions {
  readonly prompt: readonly number[];
  readonly layerPolicy?: LayerPolicy;
  readonly tokens: number;
  readonly signal?: AbortSignal;
}

/** Tokens per second from the first token on, alone and greedy; whatever the model would end with is passed. */
export async function decodeSpeed(engine: Engine, options: DecodeSpeedOptions): Promise<number> {
  const { prompt, layerPolicy, tokens: maxTokens, signal } = options;
  const request = { prompt, temperature: 0, maxTokens, ignoreEos: true, layerPolicy };
  let [firstMs, lastMs, first, count] = [0, 0, 0, 0];
  for await (const { tokenIds } of engine.generate(request, { signal })) {
    if (tokenIds.length === 0) continue;
    count += tokenIds.length;
    lastMs = performance.now();
    // Several may come at once.
    if (first === 0) [first, firstMs] = [count, lastMs];
  }
  return (1000 * (count - first)) / Math.max(lastMs - firstMs, 1e-3);
}
