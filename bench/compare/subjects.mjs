// Who is compared: engine, host, device, weights. Plain data. Starts nothing and measures nothing.

/**
 * @typedef {"node" | "chromium"} Host
 * @typedef {"weft" | "transformers" | "wllama" | "node-llama"} Engine Names a file in sessions/
 * @typedef {"gpu" | "cpu" | "reference"} DeviceKind `gpu`: the WebGPU adapter of the host.
 *   `reference`: Weft's plain loops, asked once for the tokens that are right, never for speed
 * @typedef {object} Subject
 * @property {string} name As `--subjects` and the table have it
 * @property {string} peer As its authors call it
 * @property {Engine} engine
 * @property {Host} host
 * @property {DeviceKind} device
 * @property {string} weights File format and precision that it loads
 */

/** @type {readonly Subject[]} The first is measured first. */
export const SUBJECTS = [
  subject("weft-reference", "Weft", "weft", "node", "reference", "f16"),
  subject("weft-node", "Weft", "weft", "node", "gpu", "f16"),
  subject("weft-node-q4", "Weft", "weft", "node", "gpu", "Q4_0"),
  subject("transformers-node-fp32", "transformers.js", "transformers", "node", "gpu", "fp32"),
  subject("transformers-node-q4", "transformers.js", "transformers", "node", "gpu", "q4"),
  subject("weft-chromium", "Weft", "weft", "chromium", "gpu", "f16"),
  subject("weft-chromium-q4", "Weft", "weft", "chromium", "gpu", "Q4_0"),
  subject(
    "transformers-chromium-fp32",
    "transformers.js",
    "transformers",
    "chromium",
    "gpu",
    "fp32",
  ),
  subject("transformers-chromium-q4", "transformers.js", "transformers", "chromium", "gpu", "q4"),
  subject("wllama-webgpu", "wllama", "wllama", "chromium", "gpu", "Q8_0"),
  subject("wllama-wasm", "wllama", "wllama", "chromium", "cpu", "Q8_0"),
  subject("node-llama-cpp", "node-llama-cpp", "node-llama", "node", "cpu", "Q8_0"),
];

/** Rivals that no machine can run under this protocol, with the reason. */
export const NEVER_RUNNABLE = [
  {
    subject: "web-llm",
    peer: "web-llm",
    reason:
      "each model shape needs a library compiled ahead of time by MLC; there is none for these",
  },
];

/**
 * @param {string} name
 * @param {string} peer
 * @param {Engine} engine
 * @param {Host} host
 * @param {DeviceKind} device
 * @param {string} weights
 * @returns {Subject}
 */
function subject(name, peer, engine, host, device, weights) {
  return { name, peer, engine, host, device, weights };
}
