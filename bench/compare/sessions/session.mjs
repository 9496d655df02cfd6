// What every session module does alike: time a batch, and tell the cold start. Runs in Node and in
// pages, so it imports nothing.

/**
 * @typedef {import("../protocol.mjs").Prompt} Prompt
 * @typedef {import("../protocol.mjs").Answer} Answer
 * @typedef {object} Session An engine with its model loaded
 * @property {(prompts: Prompt[], genTokens: number, arrived: Arrival) => Promise<void>} generate
 *   Greedy, exactly `genTokens` each, all prompts at once
 * @property {Record<string, unknown>} info What it says of itself; for the JSON
 * @property {() => Promise<void>} [inspect] Makes the engine print where its work runs
 * @property {() => Promise<void>} close
 * @typedef {(stream: number, ids: readonly number[]) => void} Arrival Called as tokens arrive
 */

/**
 * @param {Session} session
 * @param {Prompt[]} prompts
 * @param {number} genTokens
 * @returns {Promise<Answer>}
 */
export async function ask(session, prompts, genTokens) {
  const streams = prompts.map(() => ({ firstMs: 0, lastMs: 0, ids: /** @type {number[]} */ ([]) }));
  const startedMs = performance.now();
  await session.generate(prompts, genTokens, (index, ids) => {
    const stream = streams[index];
    stream.lastMs = performance.now() - startedMs;
    if (stream.ids.length === 0) stream.firstMs = stream.lastMs;
    stream.ids.push(...ids);
  });
  return { wallMs: performance.now() - startedMs, streams };
}

/**
 * Opens the engine and asks it its first request. The clock runs from before its library is
 * imported, so compiling counts, wherever an engine does it.
 * @template O
 * @param {(options: O) => Promise<Session>} open
 * @param {O} options
 * @param {Prompt} prompt
 * @param {number} genTokens
 */
export async function coldStart(open, options, prompt, genTokens) {
  const startedMs = performance.now();
  const session = await open(options);
  const loadMs = performance.now() - startedMs;
  const { streams } = await ask(session, [prompt], genTokens);
  const cold = { loadMs, firstTokenMs: loadMs + streams[0].firstMs, ids: streams[0].ids };
  return { session, cold, info: session.info };
}
