/** Weights of a mixture of experts: a router, and a stack of matrices for each of two products. */
import { type MoeSpec, numMatrices } from "./moe.ts";
import {
  biases,
  matrix,
  stackedVector,
  type TensorRows,
  vector,
  type WeightPart,
  type WeightSpec,
} from "./weight-spec.ts";

/** @param at From a weight's name to that in its layer. @param layer Before each tensor's name. */
export function moeWeights(
  at: (name: string) => string,
  layer: string,
  moe: MoeSpec,
  D: number,
): WeightSpec[] {
  const { names, router, ffnSize: F } = moe;
  const E = numMatrices(router);
  const experts = Array.from({ length: E }, (_, e) => names.expert?.(e) ?? []).flat();
  const logits: TensorRows[] = [[`${layer}.${names.router}`, router.experts]];
  if (moe.shared?.gated) logits.push([`${layer}.${names.shared!.gate}`, 1]);
  const gateUp = experts.flatMap(({ gate, up }): TensorRows[] => [
    [`${layer}.${gate}`, F],
    [`${layer}.${up}`, F],
  ]);
  const down = experts.map((expert): TensorRows => [`${layer}.${expert.down}`, D]);
  const alternating = names.alternate && { alternating: 2 * F };
  const stack = (name: string, each: TensorRows[], whole: WeightPart): WeightSpec => {
    const [, rows, columns] = whole.shape;
    const spec = matrix(at(name), columns, each, { unit: rows, stacked: E });
    return each.length === 0 ? { ...spec, rows: E * rows, parts: [whole] } : { ...spec, whole };
  };
  const weights = [
    ...(moe.shared ? sharedWeights(at, layer, moe, D) : []),
    matrix(at("router"), D, logits, { exact: true }),
    stack("experts_gate_up", gateUp, {
      tensor: `${layer}.${names.stacked.gateUp}`,
      shape: [E, 2 * F, D],
      ...alternating,
    }),
    stack("experts_down", down, { tensor: `${layer}.${names.stacked.down}`, shape: [E, D, F] }),
  ];
  if (router.choiceBias) {
    weights.push(vector(at("choice_bias"), [[`${layer}.${names.choiceBias}`, router.experts]]));
  }
  if (names.biases) {
    const { gateUp, down } = names.biases;
    weights.push(
      vector(at("router_bias"), biases(logits)),
      stackedVector(at("experts_gate_up_bias"), {
        tensor: `${layer}.${gateUp}`,
        shape: [E, 2 * F],
        ...alternating,
      }),
      stackedVector(at("experts_down_bias"), { tensor: `${layer}.${down}`, shape: [E, D] }),
    );
  }
  return weights;
}

function sharedWeights(
  at: (name: string) => string,
  layer: string,
  { shared, names }: MoeSpec,
  D: number,
): WeightSpec[] {
  const { gateUp, down } = names.shared!;
  const F = shared!.ffnSize;
  const gates = gateUp.map((name): TensorRows => [`${layer}.${name}`, (2 * F) / gateUp.length]);
  return [
    matrix(at("gate_up"), D, gates, { gated: true }),
    matrix(at("down"), F, [[`${layer}.${down}`, D]]),
  ];
}
