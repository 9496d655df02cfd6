// Measures Weft on this machine's GPU, with models of random weights: no download, no network.
//
//   node weft-bench/run.mjs [--shape qwen3-0.6b,…] [--format f16,q8_0,q4_0] [--concurrency 1,4,16,64]
//        [--prompt-tokens 512] [--gen-tokens 128] [--no-compare] [--no-kernels] [--no-self-test]
//        [--f16-on-nvidia] [--out F.json]
//
// Needs Node 20 and a Vulkan driver. Each part runs in a process of its own, so that one that fails
// leaves the others; what it said is in the file.

import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";

/** @type {Record<string, string>} */
const QUANT = { f16: "none", q8_0: "q8", q4_0: "q4" };

/** Those that the kernel lab knows. */
const TUNABLE = new Set(["tiny", "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "llama3.2-1b"]);

const { values } = parseArgs({
  options: {
    shape: { type: "string", default: "qwen3-0.6b" },
    format: { type: "string", default: "f16,q4_0" },
    concurrency: { type: "string", default: "1,4,16,64" },
    "prompt-tokens": { type: "string", default: "512" },
    "gen-tokens": { type: "string", default: "128" },
    "no-compare": { type: "boolean", default: false },
    "no-kernels": { type: "boolean", default: false },
    "no-self-test": { type: "boolean", default: false },
    "f16-on-nvidia": { type: "boolean", default: false },
    out: { type: "string" },
  },
});

const formats = values.format.split(",");
const strange = formats.find((format) => !(format in QUANT));
if (strange !== undefined) {
  console.error(`--format ${strange} is unknown; there are ${Object.keys(QUANT).join(", ")}`);
  process.exit(2);
}

/** Dawn leaves f16 out on NVIDIA unless it is told. */
const dawn = values["f16-on-nvidia"]
  ? { WEFT_DAWN: "enable-dawn-features=vulkan_enable_f16_on_nvidia" }
  : {};
const env = { ...process.env, ...dawn };

const out = values.out ?? "weft-bench.json";
/** Grows part by part, and is written after each: what comes last takes longest. */
const result = {
  command: ["node run.mjs", ...process.argv.slice(2)].join(" "),
  date: new Date().toISOString(),
  bundle: JSON.parse(readFileSync(new URL("bundle.json", import.meta.url), "utf8")),
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
  dawn: dawn.WEFT_DAWN ?? "",
  driver: driverVersion(),
  /** @type {any[]} */
  decode: [],
  /** @type {any[]} What was chosen beside the default kernels. */
  tuned: [],
  /** @type {any} */
  kernels: undefined,
  /** @type {any} */
  info: undefined,
};

for (const shape of values.shape.split(",")) {
  for (const format of formats) {
    await decode(shape, format, values.concurrency);
    if (values["no-compare"]) continue;
    await decode(shape, format, "1,8", "--no-invariant");
    if (!TUNABLE.has(shape)) continue;
    const tuned = ["--tune", "--shapes", shape.replace("llama3", "llama-3"), "--filter", format];
    result.tuned.push({ shape, format, ...(await weft("bench", "kernels", ...tuned)) });
    await decode(shape, format, "1,8", "--tuned");
  }
}
if (!values["no-kernels"]) {
  result.kernels = await weft("bench", "kernels", "--alone");
  if (result.kernels.probes) console.log(`probes: ${JSON.stringify(result.kernels.probes)}`);
  save();
}
if (!values["no-self-test"]) {
  result.info = await weft("info", "--device", "gpu", "--all");
  const { adapter, tier, selfTest } = result.info;
  if (selfTest) {
    const { passed, failed } = selfTest;
    console.log(
      `${adapter}, tier ${tier}: ${passed} kernels passed the self-test, ${failed} failed`,
    );
  }
  save();
}
console.log(`${out}: docs/results/README.md of the repository says how to send it in`);
const parts = [...result.decode, ...result.tuned, result.kernels, result.info];
const failed = parts.some((part) => part?.error !== undefined);
process.exitCode = failed || result.info?.selfTest?.failed > 0 ? 1 : 0;

function save() {
  writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
}

/**
 * One part. @param {string} shape @param {string} format @param {string} concurrency
 * @param {string[]} kernels Flags that choose other kernels than the default ones.
 */
async function decode(shape, format, concurrency, ...kernels) {
  const part = await weft(
    ...["bench", "decode", "--device", "gpu", "--model", `random:${shape}`],
    ...["--quant", QUANT[format], "--concurrency", concurrency, ...kernels],
    ...["--prompt-tokens", values["prompt-tokens"], "--gen-tokens", values["gen-tokens"]],
  );
  for (const run of part.runs ?? []) print(shape, [format, ...kernels].join(" "), run);
  result.decode.push({ shape, format, kernels: kernels.join(" ") || "default", ...part });
  save();
}

/**
 * @param {string[]} args
 * @returns {Promise<any>} What the command printed, or `error` with the end of what it said.
 */
function weft(...args) {
  const cli = new URL("weft.mjs", import.meta.url).pathname;
  const child = spawn(process.execPath, [cli, ...args, "--json"], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
    process.stderr.write(text);
  });
  return new Promise((resolve) => {
    child.on("close", (status) => {
      try {
        resolve(JSON.parse(stdout));
      } catch {
        resolve({ error: `weft ${args.join(" ")} ended with ${status}: ${stderr.slice(-2000)}` });
      }
    });
  });
}

/** @param {string} shape @param {string} format @param {any} run */
function print(shape, format, run) {
  console.log(
    [
      `${shape} ${format}`.padEnd(34),
      `${run.concurrency} at once`.padEnd(12),
      `decode ${run.aggregateTokPerS.toFixed(1)} tok/s`,
      `prefill ${run.prefillTokPerS.toFixed(1)} tok/s`,
      `first token ${run.ttftMs.p50.toFixed(0)} ms`,
      `${run.ofPredictionPct?.toFixed(0)} % of the prediction`,
      `${run.ofBandwidthPct?.toFixed(0)} % of bandwidth`,
    ].join("  "),
  );
}

/** Of an NVIDIA GPU; other drivers name their version in the adapter's name. */
function driverVersion() {
  try {
    return readFileSync("/proc/driver/nvidia/version", "utf8").split("\n")[0];
  } catch {
    return "";
  }
}
