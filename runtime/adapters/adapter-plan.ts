/**
 * Adapters in the stacks of their base model: an adapter's experts follow the router's, and a table says
 * which matrix an expert's number means for a row. From headers alone; makes no buffer.
 */
import { packedBytes } from "../../kernels/packed-matrix.ts";
import { MAX_EXPERTS } from "../../kernels/router.ts";
import { weightFormats } from "../../kernels/weight-format.ts";
import type { DecoderSpec } from "../../models/decoder.ts";
import { type MoeSpec, numMatrices } from "../../models/moe.ts";
import { layerWeight } from "../../models/weights.ts";
import { WeftError } from "../errors.ts";
import type { PlacedWeight } from "../placed-weight.ts";
import type { WeightTensor } from "../weights/checkpoint.ts";
import type { Adapter } from "./adapter.ts";

export interface AdapterPlan {
  /** An adapter's number is its place here, from 1 on; 0 is the base model. */
  readonly names: readonly string[];
  /** By layer, `[adapters + 1, E]`: matrices of its stack. */
  readonly expertOf: ReadonlyMap<number, Uint32Array>;
  /** All weights of the model, with longer stacks. */
  readonly weights: readonly PlacedWeight[];
}

/** @throws {WeftError} `unsupported_model`, `limit_exceeded`, `missing_tensor`. */
export function planAdapters(
  spec: DecoderSpec,
  weights: readonly PlacedWeight[],
  adapters: readonly Adapter[],
): AdapterPlan {
  const longer = new Map<string, PlacedWeight>();
  const placed = new Map(weights.map((weight) => [weight.spec.name, weight]));
  const expertOf = new Map<number, Uint32Array>();
  for (const [layer, { moe }] of spec.layers.entries()) {
    if (!moe) continue;
    const E = numMatrices(moe.router);
    const table = Uint32Array.from({ length: (adapters.length + 1) * E }, (_, i) => i % E);
    const own = adapters.flatMap((adapter, index) =>
      (adapter.experts.get(layer) ?? []).map((expert) => ({ adapter, index, expert })),
    );
    for (const [i, { index, expert }] of own.entries()) table[(index + 1) * E + expert] = E + i;
    expertOf.set(layer, table);
    if (E + own.length > MAX_EXPERTS) {
      throw new WeftError(
        "limit_exceeded",
        `layer ${layer} has ${E} experts and ${own.length} of adapters, ${MAX_EXPERTS} in all are possible; ` +
          "give fewer adapters",
      );
    }
    const parts = own.map(({ adapter, expert }) => tensorsOf(adapter, moe, layer, expert, spec));
    for (const part of ["gateUp", "down"] as const) {
      const name = layerWeight(layer, part === "gateUp" ? "experts_gate_up" : "experts_down");
      longer.set(
        name,
        lengthened(
          placed.get(name)!,
          own.length,
          parts.flatMap((of) => of[part]),
        ),
      );
    }
  }
  return {
    names: adapters.map(({ name }) => name),
    expertOf,
    weights: weights.map((weight) => longer.get(weight.spec.name) ?? weight),
  };
}

function tensorsOf(
  adapter: Adapter,
  { names, ffnSize: F }: MoeSpec,
  layer: number,
  expert: number,
  { hiddenSize: D, modelType }: DecoderSpec,
) {
  if (!names.expert || names.biases) {
    throw new WeftError(
      "unsupported_model",
      `adapter ${adapter.name} has experts of ${modelType}, whose checkpoints keep all experts in one tensor; ` +
        "adapters of models with experts one by one are supported",
    );
  }
  const { gate, up, down } = names.expert(expert);
  const tensor = (name: string, shape: readonly number[]) =>
    adapter.tensor(`model.layers.${layer}.${name}.weight`, shape);
  return {
    gateUp: [tensor(gate, [F, D]), tensor(up, [F, D])],
    down: [tensor(down, [D, F])],
  };
}

/** In the format of the base, whatever the adapter stores. */
function lengthened(
  { spec, runs: [run] }: PlacedWeight,
  count: number,
  tensors: readonly WeightTensor[],
): PlacedWeight {
  const { format } = run;
  const rows = run.rows + count * spec.unit;
  const sizeBytes = packedBytes(weightFormats[format], rows, spec.columns);
  const stacked = spec.stacked + count;
  return {
    spec: { ...spec, rows, stacked },
    runs: [{ ...run, rows, sizeBytes, tensors: [...run.tensors, ...tensors] }],
  };
}
