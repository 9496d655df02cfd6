// What an engine really ran on, from its own words. Pure. A subject whose words do not bear out what
// its row would say is not runnable: no row is ever a silent fallback.

/** The reason stands in the table. */
export class NotRunnable extends Error {}

/**
 * @typedef {object} Evidence
 * @property {Record<string, unknown>} info What the session says of itself
 * @property {string[]} log What the process or the page printed
 * @property {string} adapter WebGPU adapter of the host; empty if there is none
 * @property {boolean} f16 Whether that adapter has shader-f16
 * @property {number | undefined} submissions Command buffers that a page's own thread submitted
 * @property {string[]} drivers Vulkan drivers that a Node process has mapped
 */

/**
 * @param {import("./subjects.mjs").Subject} subject
 * @param {Evidence} evidence
 * @param {string} wantedDriver Part of the driver's file name in Node; empty for a machine's own GPU
 * @returns {string} Backend, for the table
 * @throws {NotRunnable}
 */
export function assertBackend(subject, evidence, wantedDriver) {
  const { host, device, engine } = subject;
  const { info, log, adapter, f16, submissions, drivers } = evidence;
  if (engine === "wllama") {
    const onGpu = log.some((line) => /webgpu.*(model|KV) buffer size/i.test(line));
    if (device === "cpu" && onGpu) throw new NotRunnable("it used WebGPU, wasm was asked for");
    if (device === "cpu") return `wasm, threads: ${info.threads}`;
    if (onGpu) return "WebGPU";
    const why = f16 ? "" : ` (its WebGPU needs shader-f16, which ${adapter || "this page"} lacks)`;
    throw new NotRunnable(`WebGPU was asked for, it ran on the processor${why}`);
  }
  if (engine === "node-llama") {
    if (info.backend !== "cpu") throw new NotRunnable(`it used ${info.backend}, not the processor`);
    return `native, threads: ${info.threads}`;
  }
  if (engine === "weft" && info.backend !== device) {
    throw new NotRunnable(`it used ${info.backend}, ${device} was asked for`);
  }
  if (device === "reference") return "JavaScript loops";
  if (host === "chromium" && !submissions) throw new NotRunnable("it submitted nothing to WebGPU");
  if (host === "node" && wantedDriver && !drivers.some((file) => file.includes(wantedDriver))) {
    const mapped = drivers.join(", ") || "no Vulkan driver";
    throw new NotRunnable(`it mapped ${mapped}, ${wantedDriver} was asked for`);
  }
  if (engine === "transformers") assertPlacement(placements(log));
  return `WebGPU (${host === "node" ? "Dawn" : "Chromium"})`;
}

/** The work is in these; what onnxruntime keeps on the processor otherwise is arithmetic on shapes. */
const HEAVY = /^(MatMul|MatMulNBits|GroupQueryAttention|SkipSimplifiedLayerNormalization)$/;

/** @param {Map<string, string[]>} placed */
function assertPlacement(placed) {
  const elsewhere = [...placed].filter(([provider]) => !/webgpu|js/i.test(provider));
  const heavy = elsewhere.flatMap(([, operators]) => operators.filter((name) => HEAVY.test(name)));
  if (heavy.length > 0) throw new NotRunnable(`onnxruntime put ${heavy[0]} on the processor`);
  if (placed.size === elsewhere.length) {
    throw new NotRunnable("onnxruntime's log names no node that runs on WebGPU");
  }
}

/**
 * Which operators onnxruntime placed on which provider, from its verbose log:
 * ` Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 53`, then `  MatMul (name)` lines.
 * @param {readonly string[]} log
 * @returns {Map<string, string[]>}
 */
export function placements(log) {
  /** @type {Map<string, string[]>} */
  const placed = new Map();
  /** @type {string[] | undefined} */
  let operators;
  for (const line of log) {
    const provider = /placed on \[(\w+)\]/.exec(line)?.[1];
    const operator = /VerifyEachNodeIsAssignedToAnEp\]\s+(\w+) \(/.exec(line)?.[1];
    if (provider) {
      operators = placed.get(provider) ?? [];
      placed.set(provider, operators);
      // `All nodes placed on [X]` is followed by no names.
      if (/All nodes placed/.test(line)) operators.push("MatMul");
    } else if (operator) operators?.push(operator);
  }
  return placed;
}
