// What a decoded token costs, of a Qwen3 model and of a Llama, which has no QK-norm, counted: dispatches,
// submissions, what is made, and the bytes that its shaders load. No predicted cost is asked.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kvRowBytes } from "../../kernels/kv-layout.ts";
import { weightFormats } from "../../kernels/packed-formats.ts";
import { type GpuDevice, openGpuDevice } from "../../runtime/gpu/device.ts";
import type { WorkPlan } from "../../scheduler/work-plan.ts";
import { type DecodeRig, decodeRig, PROMPT } from "../harness/decode-rig.ts";
import { gpu } from "../harness/gpu.ts";
import { countMoved, type MovedCall } from "../harness/moved-bytes.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";

/**
 * A quarter of Qwen3-0.6B, but five heads on each KV head, as in Qwen3-14B. Rows of each format are
 * whole 16-byte words, so no padding hides what is loaded twice. The vocabulary is no multiple of any
 * kernel's rows.
 */
const config = {
  model_type: "qwen3",
  num_hidden_layers: 2,
  hidden_size: 256,
  num_attention_heads: 10,
  num_key_value_heads: 2,
  head_dim: 128,
  intermediate_size: 768,
  vocab_size: 1021,
  max_position_embeddings: 1024,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  tie_word_embeddings: true,
};
/** Layers of Qwen3-0.6B itself, whose weights leave every cache between two steps. */
const wide = {
  ...{ ...config, num_hidden_layers: 4, hidden_size: 1024, num_attention_heads: 16 },
  ...{ num_key_value_heads: 8, intermediate_size: 3072 },
};
const BATCH = 8;
/** Two KV tiles, the last partly filled. */
const CONTEXT = 70;
const formats = [
  ["f16", undefined],
  ["q8_0", "q8"],
  // Its vocabulary is q8_0, so it has kernels of both.
  ["q4_0", "q4"],
] as const;
/** The most that a layer takes. */
const layerDispatches = { qwen3: 7, llama: 6 } as const;
const isSoak = scale("decode-counts", 0, 1) === 1;

// Counts belong to the WGSL and to the host: one driver shows them, and the other compiles for a minute.
const WHERE = "not on SwiftShader: counts are the WGSL's and the host's";
describe.skipIf(project() === "swiftshader")(`a decoded token (${WHERE})`, () => {
  let device: GpuDevice;
  let onPlan: (plan: WorkPlan) => void;
  beforeAll(async () => {
    device = await openGpuDevice(await gpu(), { countBytes: true });
  });
  afterAll(() => device?.destroy());

  // What a Llama's layer takes in the gate, bench-decode.gpu.test.ts counts.
  const models = (["qwen3", "llama"] as const).slice(0, isSoak ? 2 : 1);
  const cases = models.flatMap((model) =>
    (isSoak ? formats : formats.slice(-1)).map(([format, quant]) => ({ model, format, quant })),
  );
  describe.each(cases)("$model in $format", ({ model, format, quant }) => {
    let rig: DecodeRig;
    beforeAll(async () => {
      rig = await decodeRig(device, {
        config: { ...config, model_type: model },
        quant,
        maxRows: BATCH,
        onPlan: (plan) => onPlan(plan),
      });
      onPlan = () => undefined;
      await rig.decode(1, 12);
    });

    test("takes one submission, waits for nothing and makes nothing", async () => {
      const created = countBuffers();
      const before = { ...device.counters };
      const { hostWaits } = rig.loop;
      let plans = 0;
      onPlan = () => {
        plans += 1;
      };
      await rig.decode(1, 24);
      const { submissions, bindGroups, pipelines } = device.counters;
      expect(plans).toBeGreaterThanOrEqual(24);
      expect(submissions - before.submissions).toBe(plans);
      expect(rig.loop.hostWaits - hostWaits).toBe(0);
      expect(bindGroups - before.bindGroups).toBe(0);
      expect(pipelines - before.pipelines).toBe(0);
      expect(created()).toBe(0);
    });

    test("takes few dispatches, and loads every weight, key and value once", async () => {
      const one = await lastStep(1);
      const eight = await lastStep(BATCH);
      report("decode-counts", { model, format, context: CONTEXT, one, eight });
      for (const { dispatches, loaded, size } of [one, eight]) {
        expect(dispatches.ofEachLayer).toBeLessThanOrEqual(layerDispatches[model]);
        expect(dispatches.outside).toBeLessThanOrEqual(6);
        for (const of of ["weights", "kv"] as const) {
          expect(loaded[of], of).toBeGreaterThanOrEqual(size[of]);
          expect(loaded[of], of).toBeLessThanOrEqual(1.05 * size[of]);
        }
      }
      expect(eight.loaded.matrices).toBe(one.loaded.matrices);
    });

    /** Counts of the step that gives so many sequences their last token. */
    async function lastStep(numSequences: number) {
      let counted = async (): Promise<MovedCall[][]> => [];
      let dispatches = 0;
      onPlan = ({ rows }) => {
        if (rows[0].tokens.to !== CONTEXT - 1) return;
        counted = countMoved(device);
        ({ dispatches } = device.counters);
      };
      await rig.decode(numSequences, CONTEXT - PROMPT.length + 1);
      const [step, ...more] = await counted();
      expect(more).toEqual([]);
      expect(step.filter(hasWork).length).toBe(device.counters.dispatches - dispatches);
      return {
        dispatches: countDispatches(step),
        loaded: sumLoads(step),
        size: { weights: matrixBytes(rig), kv: kvBytes(rig, numSequences * CONTEXT) },
      };
    }
  });
});

// Times of a machine: printed, and no test of anything.
test.runIf(isSoak && project() === "lavapipe")(
  "times of a step (in soak: only printed)",
  async () => {
    const device = await openGpuDevice(await gpu());
    try {
      const stepMs: Record<string, { one: number; eight: number }> = {};
      for (const [format, quant] of formats) {
        const rig = await decodeRig(device, { config: wide, quant, maxRows: BATCH });
        await rig.decode(BATCH, 4);
        await rig.decode(1, 4);
        stepMs[format] = { one: await timeStep(rig, 1), eight: await timeStep(rig, BATCH) };
      }
      report("decode-counts", { layers: wide.num_hidden_layers, stepMs });
    } finally {
      device.destroy();
    }
  },
);

/** Milliseconds, among steps that follow each other. */
async function timeStep({ decode }: DecodeRig, numSequences: number): Promise<number> {
  const numSteps = 24;
  const startMs = performance.now();
  await decode(numSequences, numSteps);
  return (performance.now() - startMs) / numSteps;
}

const hasWork = ({ call: { kernel, dims } }: MovedCall): boolean =>
  kernel.workgroups(dims).every((count) => count > 0);

function countDispatches(step: readonly MovedCall[]) {
  const layers = new Array<number>(config.num_hidden_layers).fill(0);
  let outside = 0;
  for (const { call } of step.filter(hasWork)) {
    const layer = /^layer (\d+)/.exec(call.label ?? "")?.[1];
    if (layer === undefined) outside += 1;
    else layers[Number(layer)] += 1;
  }
  return { ofEachLayer: Math.max(...layers), outside };
}

/** Bytes of a step. Vectors are the weights of norms: f32, and needed by every workgroup, as x is. */
function sumLoads(step: readonly MovedCall[]) {
  const sums = { matrices: 0, embedding: 0, kv: 0, vectors: 0, activations: 0 };
  for (const { call, bytes } of step) {
    for (const [name, { access }] of Object.entries(call.kernel.bindings)) {
      if (access === "write") continue;
      sums[kindOf(call.kernel.name, name)] += bytes[name];
    }
  }
  return { weights: sums.matrices + sums.embedding, ...sums };
}

function kindOf(kernel: string, binding: string) {
  if (binding === "kv_pool") return "kv";
  if (/norm/.test(binding)) return "vectors";
  if (binding !== "weight") return "activations";
  return kernel.startsWith("embedding") ? "embedding" : "matrices";
}

/** As many bits as the format has in a file. */
function matrixBytes({ plan }: DecodeRig): number {
  let bytes = 0;
  for (const { spec, runs } of plan.weights.filter((weight) => !weight.spec.vector)) {
    for (const { format, rows } of runs) {
      const { block } = weightFormats[format];
      bytes += ((rows * spec.columns) / block.weights) * block.bytes;
    }
  }
  return bytes;
}

/** Keys and values of so many tokens in all layers. */
function kvBytes({ plan: { spec, kv } }: DecodeRig, numTokens: number): number {
  return (
    spec.layers.length * 2 * spec.numKvHeads * kvRowBytes(kv.storage, spec.headDim) * numTokens
  );
}

/** @returns How many GPU buffers were created since, by anybody. */
function countBuffers(): () => number {
  const { createBuffer } = GPUDevice.prototype;
  let count = 0;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    count += 1;
    return createBuffer.call(this, descriptor);
  };
  return () => {
    GPUDevice.prototype.createBuffer = createBuffer;
    return count;
  };
}
