/** Calls of the layers that rows may leave off before: between two exits, and what asks the rows there. */
import type { KernelCall } from "../kernels/kernel.ts";
import { emitCalls } from "../models/emit-calls.ts";
import type { GraphNode } from "../models/graph.ts";
import type { StepSizes } from "../models/step-sizes.ts";
import type { LayerPlan } from "../scheduler/work-plan.ts";
import type { ExitSegment } from "./exiting-rows.ts";

/**
 * @param step Sizes of the rows at hand, which all get logits.
 * @param place Puts a call where they are.
 */
export function exitSegments(
  nodes: readonly GraphNode[],
  { exits, runs }: LayerPlan,
  step: StepSizes,
  place: (call: KernelCall) => KernelCall,
): ExitSegment[] {
  const head = runs.length - 1;
  const emit = (from: number, to: number, keysOnly = false) =>
    emitCalls(nodes, step, { from, to, keysOnly, lastMlp: "T" }).map(place);
  const ask = emit(head, head + 1);
  // A layer is its attention and the MLP behind it.
  const layer = (stage: number) => {
    const numFilling = emit(stage, stage + 1, true).length;
    return emit(stage, stage + 2).map((call, i) => ({ call, fills: i < numFilling }));
  };
  return exits!.stages.map((from, i): ExitSegment => {
    const to = exits!.stages[i + 1] ?? head;
    const layers = [];
    for (let stage = from; stage < to; stage += 2) if (runs[stage]) layers.push(layer(stage));
    return { ask, layers };
  });
}
