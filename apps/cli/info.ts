/**
 * `weft info`: the adapter and a self-test of the kernels on it; with a model, from its headers
 * alone, what it needs and what fits. Ends with 1 if a kernel is wrong or the model cannot run.
 */
import { allKernels, type Kernel } from "../../kernels/index.ts";
import {
  capacity,
  type Device,
  inspect,
  type ModelPlan,
  preferredShapes,
  selfTest,
} from "../../node.ts";
import { defineCommand, log, printJson, type Terminal } from "./command.ts";
import { loadOptions, modelOptions, openDevice } from "./model-options.ts";
import type { OptionValues } from "./option.ts";
import { flag } from "./option-types.ts";
import { formatBytes, ProgressBar } from "./progress-bar.ts";

const options = {
  ...modelOptions,
  all: flag(
    "self-test every kernel, those that the device or model has no use for too: takes longer",
  ),
  json: flag("one JSON object on stdout"),
};

type Values = OptionValues<typeof options>;

export const info = defineCommand({
  name: "info",
  summary: "the adapter, a self-test of the kernels, and whether a model can run",
  options,
  run: async (values, terminal) => {
    const device = await openDevice(values, terminal);
    try {
      const { kind, adapter, tier, features, limits } = device.info;
      const model =
        values.model === undefined
          ? undefined
          : await preflight(device, values.model, loadOptions(values, terminal));
      const tested = await testKernels(device, values, terminal);
      const result = { adapter, device: kind, tier, features, limits, selfTest: tested, model };
      if (values.json) printJson(terminal, result);
      else terminal.stdout.write(describe(result));
      return tested.failed === 0 ? 0 : 1;
    } finally {
      device.destroy();
    }
  },
});

async function testKernels(
  device: Device,
  { all, activations }: Pick<Values, "all" | "activations">,
  terminal: Terminal,
) {
  const common = isCommonOn(device, activations);
  const kernels = allKernels.filter((kernel) => runsOn(device, kernel) && (all || common(kernel)));
  const specs = kernels.map((kernel) => ({ kernel, constants: kernel.probes[0].dims }));
  const progress = new ProgressBar(terminal);
  if (device.info.kind === "gpu") {
    log(terminal, `compiling ${kernels.length} kernels for the self-test …`);
  }
  let compiled = 0;
  await device.prepare(specs, () => {
    compiled += 1;
    progress.count("kernels compiled:", compiled, specs.length);
    // Long enough on a software driver for somebody to have changed their mind.
    terminal.signal.throwIfAborted();
  });
  progress.clear();
  const { passed, failed, kernels: results } = await selfTest(device, specs);
  return {
    passed,
    failed,
    kernels: results.map(({ name, ok, problem }) => ({
      ...splitName(name),
      ok,
      ...(!ok && { problem }),
    })),
  };
}

const runsOn = ({ info }: Device, { features, bindings }: Kernel): boolean =>
  features.every((feature) => info.features.includes(feature)) &&
  Object.keys(bindings).length <= info.limits.maxStorageBuffers;

/** Weights of models as they are published; the other formats have the same kernels. */
const COMMON_FORMATS = ["f16", "bf16", "q8_0", "q4_0"];

/** What a decoder without biases uses: of the matrices, the shapes that engines run on this device. */
function isCommonOn(
  { info }: Device,
  activations: Values["activations"],
): (kernel: Kernel) => boolean {
  const preferred = preferredShapes(info, activations);
  const shapes = new Set<string>(preferred.map(({ name }) => name));
  return ({ name, bindings }) => {
    if ("bias" in bindings) return false;
    const perHead = /^head_matmul\[(\w+)/.exec(name)?.[1];
    if (perHead) return COMMON_FORMATS.includes(perHead);
    const [, shape, format] = /^matmul\.(\w+)\[(\w+)/.exec(name) ?? [];
    return !shape || !format || (shapes.has(shape) && COMMON_FORMATS.includes(format));
  };
}

/** `matmul.gemv[bf16].residual` is the variant `gemv[bf16].residual` of `matmul`. */
function splitName(full: string): { name: string; variant: string } {
  const name = /^\w+/.exec(full)?.[0] ?? full;
  return { name, variant: full.slice(name.length).replace(/^\./, "") };
}

async function preflight(device: Device, model: string, options: ReturnType<typeof loadOptions>) {
  const plan = await inspect(device, model, options);
  try {
    const { spec, weightBytes, activationBytes, kv, maxContext } = plan;
    const { modelType, hiddenSize, numHeads, numKvHeads, headDim, ffnSize, vocabSize } = spec;
    const formats: Record<string, number> = {};
    for (const { format, sizeBytes } of plan.weights.flatMap(({ runs }) => runs)) {
      formats[format] = (formats[format] ?? 0) + sizeBytes;
    }
    return {
      architecture: {
        ...{ modelType, layers: spec.layers.length, hiddenSize, numHeads, numKvHeads, headDim },
        ...{ ffnSize, vocabSize, maxPositions: spec.maxPositions },
      },
      /** Bytes of weights by their type on the device. */
      formats,
      weightBytes,
      experts: plan.experts ? expertRoom(plan.experts) : null,
      activationBytes,
      activations: options.activations ?? "f32",
      kvStorage: kv.storage,
      /** As if every layer that attends saw every token: window layers need less in long sequences. */
      kvBytesPer1000Tokens: 1000 * kv.tokenBytes,
      kvBytes: kv.totalBytes,
      memoryBudgetBytes: options.memoryBudgetBytes ?? null,
      totalBytes: weightBytes + activationBytes + kv.totalBytes,
      maxContext,
      fits: fits(plan),
    };
  } finally {
    await plan.close();
  }
}

const expertRoom = ({ pools, poolBytes, totalBytes }: NonNullable<ModelPlan["experts"]>) => ({
  slots: pools.reduce((sum, { slots }) => sum + slots, 0),
  ...{ poolBytes, totalBytes },
});

/** By context length, doubling up to the longest: how many sequences run at once. */
function fits(plan: ModelPlan): { contextTokens: number; concurrency: number }[] {
  const lengths: number[] = [];
  for (let length = 512; length < plan.maxContext; length *= 2) lengths.push(length);
  return [...lengths, plan.maxContext].map((contextTokens) => ({
    contextTokens,
    concurrency: capacity(plan, contextTokens),
  }));
}

interface Result extends Pick<Device["info"], "adapter" | "tier" | "features" | "limits"> {
  readonly selfTest: Awaited<ReturnType<typeof testKernels>>;
  readonly model?: Awaited<ReturnType<typeof preflight>>;
}

function describe({ adapter, tier, features, limits, selfTest: tested, model }: Result): string {
  const lines = [
    `adapter    ${adapter}`,
    `tier       ${tier}`,
    `features   ${features.join(", ") || "none"}`,
    `limits     ${formatBytes(limits.maxBindingBytes)} per binding, ` +
      `${formatBytes(limits.maxBufferBytes)} per buffer, ` +
      `${limits.maxStorageBuffers} storage buffers`,
    tested.passed + tested.failed === 0
      ? "self-test  none: the reference device is what kernels are compared with"
      : `self-test  ${tested.passed} kernels passed, ${tested.failed} failed`,
    ...tested.kernels
      .filter(({ ok }) => !ok)
      .map(({ name, variant, problem }) => `  FAILED   ${name} ${variant}: ${problem}`),
  ];
  if (model) {
    const { architecture: shape, formats } = model;
    const stored = Object.entries(formats).map(([name, size]) => `${formatBytes(size)} ${name}`);
    lines.push(
      `model      ${shape.modelType}, ${shape.layers} layers, hidden size ${shape.hiddenSize}, ` +
        `${shape.numHeads} heads of ${shape.headDim}, ${shape.numKvHeads} for keys and values, ` +
        `vocabulary ${shape.vocabSize}`,
      `weights    ${formatBytes(model.weightBytes)}: ${stored.join(", ")}`,
      ...(model.experts
        ? [
            `experts    ${model.experts.slots} at once in ${formatBytes(model.experts.poolBytes)} ` +
              `of ${formatBytes(model.experts.totalBytes)}; the others stay in the model's files`,
          ]
        : []),
      ...(model.activations === "i8"
        ? ["rows       int8 where weights are integers, else f32"]
        : []),
      `KV cache   ${formatBytes(model.kvBytesPer1000Tokens)} per 1,000 tokens in ${model.kvStorage}`,
      `memory     ${formatBytes(model.totalBytes)}: weights, ` +
        `${formatBytes(model.activationBytes)} activations, ${formatBytes(model.kvBytes)} KV cache`,
      ...model.fits.map(
        ({ contextTokens, concurrency }) =>
          `  fits     ${concurrency} at once with ${contextTokens} tokens each`,
      ),
    );
  }
  return `${lines.join("\n")}\n`;
}
