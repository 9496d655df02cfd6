/**
 * `weft bench decode`: requests of equal length at once, as fast as the engine goes, with no bound
 * on a plan's time. Speeds come from the clock, costs from counting the plans in which all decode, and
 * the least time that a step could take from probes of the adapter, taken in the same run.
 */
import { type Engine, type MeteredStep, predictedBytes, StepMeter } from "../../node.ts";
import { isSoftware } from "../lab/lab.ts";
import { type Probes, probeAdapter, probeSizes } from "../lab/probes.ts";
import { predictStep } from "../lab/step-prediction.ts";
import { defineCommand, log, printJson } from "./command.ts";
import { modelOptions, openDevice, openEngine } from "./model-options.ts";
import { UsageError } from "./option.ts";
import { flag, integer, integers } from "./option-types.ts";

const options = {
  ...modelOptions,
  concurrency: integers(1, 256, "requests at once, one run each; default 1,4,16"),
  promptTokens: integer(1, 1_000_000, "tokens of each prompt; default 64"),
  genTokens: integer(8, 1_000_000, "tokens that each request generates; default 64"),
  json: flag("one JSON object on stdout"),
};

interface Load {
  readonly concurrency: number;
  readonly promptTokens: number;
  readonly genTokens: number;
}

export const benchDecode = defineCommand({
  name: "bench decode",
  summary: "speed and cost per token, by the number of requests at once",
  options,
  run: async (values, terminal) => {
    const { model = "demo", concurrency = [1, 4, 16], promptTokens = 64, genTokens = 64 } = values;
    const opened = await openDevice(values, terminal);
    const meter = new StepMeter(opened);
    const probes =
      opened.info.kind === "gpu"
        ? await probeAdapter(opened, probeSizes(isSoftware(opened)))
        : undefined;
    const { engine } = await openEngine({ ...values, model }, terminal, {
      device: meter.device,
      maxRows: Math.max(16, ...concurrency),
      onPlan: meter.onPlan,
      quantumMs: Number.POSITIVE_INFINITY,
      // The runs have prompts in common, and each is to compute its own.
      prefixCache: false,
    });
    try {
      const { adapter, kind: device } = engine.device.info;
      const runs: Awaited<ReturnType<typeof measure>>[] = [];
      for (const count of concurrency) {
        log(terminal, `${count} at once: ${promptTokens} prompt tokens, ${genTokens} generated`);
        const load = { concurrency: count, promptTokens, genTokens };
        // Bind groups and staging buffers are made when first used.
        await generateAll(engine, { ...load, promptTokens: 8, genTokens: 8 }, terminal.signal);
        meter.take();
        runs.push(await measure(engine, meter, load, { probes, signal: terminal.signal }));
      }
      const { invariant } = engine.selfTest;
      if (values.json) printJson(terminal, { adapter, device, invariant, probes, runs });
      else terminal.stdout.write(`${adapter}\n${table(runs)}`);
      return 0;
    } finally {
      await engine.close();
    }
  },
});

interface Measuring {
  /** None of the reference device. */
  readonly probes: Probes | undefined;
  readonly signal: AbortSignal;
}

async function measure(
  engine: Engine,
  meter: StepMeter,
  load: Load,
  { probes, signal }: Measuring,
) {
  const { concurrency, promptTokens } = load;
  const hostWaits = engine.loop.hostWaits;
  const startedMs = performance.now();
  const tokenMs = await generateAll(engine, load, signal);
  const firstMs = tokenMs.map((times) => times[0]);
  const allStartedMs = Math.max(...firstMs);
  const endedMs = Math.max(...tokenMs.flat());
  const decoded = tokenMs.flat().filter((timeMs) => timeMs > allStartedMs).length;
  const aggregateTokPerS = (1000 * decoded) / (endedMs - allStartedMs);
  const gaps = tokenMs.flatMap((times) => times.slice(1).map((timeMs, i) => timeMs - times[i]));
  const steps = decodeSteps(meter.take(), load);
  return {
    ...load,
    /** From the start until every request has its first token. */
    prefillTokPerS: (1000 * concurrency * promptTokens) / (allStartedMs - startedMs),
    /** Of one request, once all decode. */
    decodeTokPerS: aggregateTokPerS / concurrency,
    aggregateTokPerS,
    ...costPerToken(steps, load, engine.plan.spec.layers.length),
    ...(probes && sharesOf(steps, probes, (1000 * concurrency) / aggregateTokPerS)),
    hostWaitsPerToken: (engine.loop.hostWaits - hostWaits) / tokenMs.flat().length,
    ttftMs: {
      p50: quantile(firstMs, 0.5) - startedMs,
      p95: quantile(firstMs, 0.95) - startedMs,
    },
    itlMs: { p50: quantile(gaps, 0.5), p99: quantile(gaps, 0.99) },
  };
}

/** The plans in which every request decodes one token. */
export function decodeSteps(steps: readonly MeteredStep[], load: Load): readonly MeteredStep[] {
  const { concurrency, promptTokens, genTokens } = load;
  const decodes = steps.filter(
    ({ plan: { rows } }) =>
      rows.length === concurrency && rows.every(({ tokens }) => tokens.from >= promptTokens),
  );
  if (decodes.length === 0) {
    throw new UsageError(
      `with --gen-tokens ${genTokens} the first of ${concurrency} requests ended before the last ` +
        "had started; raise --gen-tokens or lower --prompt-tokens",
    );
  }
  return decodes;
}

export function costPerToken(
  decodes: readonly MeteredStep[],
  { concurrency }: Load,
  numLayers: number,
) {
  const calls = decodes.flatMap((step) => step.calls);
  const layerCalls = calls.filter(({ label }) => label?.startsWith("layer "));
  const sum = (count: (step: MeteredStep) => number) =>
    decodes.reduce((total, step) => total + count(step), 0);
  const tokens = decodes.length * concurrency;
  const dispatches = sum((step) => step.dispatches);
  return {
    dispatchesPerToken: dispatches / tokens,
    dispatchesPerStep: dispatches / decodes.length,
    dispatchesPerLayer: layerCalls.length / decodes.length / numLayers,
    submissionsPerToken: sum((step) => step.submissions) / tokens,
    /** As the kernels predict: weights, cache and activations, re-reads included. */
    bytesPerToken: predictedBytes(calls) / tokens,
  };
}

/** What a step took, the least that it could take here, and the share reached of that and of the bus. */
function sharesOf(steps: readonly MeteredStep[], probes: Probes, stepMs: number) {
  const predictions = steps.map((step) => predictStep(step, probes));
  const mean = (of: "ms" | "gpuMs" | "hostMs" | "busMs") =>
    predictions.reduce((sum, prediction) => sum + prediction[of], 0) / predictions.length;
  return {
    stepMs,
    predictedMs: mean("ms"),
    predictedGpuMs: mean("gpuMs"),
    predictedHostMs: mean("hostMs"),
    ofPredictionPct: (100 * mean("ms")) / stepMs,
    ofBandwidthPct: (100 * mean("busMs")) / stepMs,
  };
}

/** When each token of each request arrived. */
function generateAll(engine: Engine, load: Load, signal: AbortSignal): Promise<number[][]> {
  const { concurrency, promptTokens, genTokens: maxTokens } = load;
  const { vocabSize } = engine.plan.spec;
  const one = async (request: number): Promise<number[]> => {
    // Any ids do: their values change nothing about the work.
    const prompt = Array.from({ length: promptTokens }, (_, i) => (7 * i + request) % vocabSize);
    const times: number[] = [];
    const chunks = engine.generate(
      { prompt, maxTokens, temperature: 0, ignoreEos: true },
      { signal },
    );
    for await (const { tokenIds } of chunks) {
      for (const _ of tokenIds) times.push(performance.now());
    }
    return times;
  };
  return Promise.all(Array.from({ length: concurrency }, (_, request) => one(request)));
}

/** Nearest rank. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

function table(runs: readonly Awaited<ReturnType<typeof measure>>[]): string {
  const rows = runs.map((run) =>
    [
      `${run.concurrency} at once`.padEnd(14),
      `prefill ${run.prefillTokPerS.toFixed(1)} tok/s`,
      `decode ${run.aggregateTokPerS.toFixed(1)} tok/s (${run.decodeTokPerS.toFixed(1)} each)`,
      `first token ${run.ttftMs.p50.toFixed(0)} ms`,
      `${run.dispatchesPerLayer.toFixed(1)} dispatches per layer`,
      `${run.hostWaitsPerToken.toFixed(3)} host waits per token`,
      `${(run.bytesPerToken / 1e6).toFixed(2)} MB per token`,
      ...(run.stepMs === undefined ? [] : [sharesText(run)]),
    ].join("  "),
  );
  return `${rows.join("\n")}\n`;
}

const sharesText = (run: Partial<ReturnType<typeof sharesOf>>): string =>
  `step ${run.stepMs!.toFixed(2)} ms, ${run.ofPredictionPct!.toFixed(0)} % of the predicted ` +
  `${run.predictedMs!.toFixed(2)}, ${run.ofBandwidthPct!.toFixed(0)} % of bandwidth`;
