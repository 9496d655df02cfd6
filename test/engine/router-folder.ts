// Routers of layers, made here: as Dr.LLM saves them, as a file's bytes or a folder.

import { ROUTER_WIDTH } from "../../kernels/layer-router.ts";
import { normal, seededRandom } from "../../kernels/probe.ts";
import type { ModelFolder } from "../../runtime/model-folder/model-folder.ts";
import { blobSource } from "../../runtime/weights/byte-source.ts";
import { safetensorsFile, type TensorSpec } from "../runtime/weights/safetensors-file.ts";
import { demoFolder } from "./node-model.ts";

const DEMO_HIDDEN_SIZE = 128;

export interface Routers {
  /** By layer and decision; they decide alone where weights are 0. */
  readonly biases: readonly (readonly [number, number, number])[];
  /** Standard deviation. */
  readonly weights: number;
}

/** One layer is run, one skipped, one run twice. */
export const RUN_SKIP_REPEAT: Routers = {
  weights: 0,
  biases: [
    [0, 1, 0],
    [1, 0, 0],
    [0, 0, 1],
  ],
};

/** `model.safetensors`, for models of that hidden size. */
export function routersFile(
  { biases, weights }: Routers,
  hiddenSize: number,
): Uint8Array<ArrayBuffer> {
  const random = seededRandom(5);
  const f32 = (shape: readonly number[], values: Float32Array): TensorSpec => ({
    ...{ dtype: "F32", shape },
    bytes: new Uint8Array(values.buffer),
  });
  const tensors: Record<string, TensorSpec> = {};
  for (const [layer, bias] of biases.entries()) {
    const at = (name: string) => `model.routers.${layer}.${name}`;
    const into = normal(ROUTER_WIDTH * hiddenSize, random, weights);
    tensors[at("linear1.weight")] = f32([ROUTER_WIDTH, hiddenSize], into);
    tensors[at("linear1.bias")] = f32([ROUTER_WIDTH], new Float32Array(ROUTER_WIDTH));
    const out = normal(3 * ROUTER_WIDTH, random, weights);
    tensors[at("linear2.weight")] = f32([3, ROUTER_WIDTH], out);
    tensors[at("linear2.bias")] = f32([3], Float32Array.from(bias));
  }
  return safetensorsFile(tensors);
}

export function routersFolder(routers: Routers): ModelFolder {
  const bytes = routersFile(routers, DEMO_HIDDEN_SIZE);
  const file = blobSource(new Blob([bytes]), "model.safetensors");
  return {
    location: "routers",
    open: async (name, signal) =>
      name === "model.safetensors" ? file : demoFolder().open(`${name}.missing`, signal),
  };
}
