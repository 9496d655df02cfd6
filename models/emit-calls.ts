/** The calls of one step: of a graph's nodes in a range of stages, and where the host comes in between. */
import type { KernelCall } from "../kernels/kernel.ts";
import type { ExpertFetch, GraphNode, StepSizes } from "./graph.ts";

/** Half-open. */
interface Stages {
  readonly from: number;
  readonly to: number;
}

const isWithin = ({ stage }: GraphNode, { from, to }: Stages): boolean =>
  stage >= from && stage < to;

/** Calls of the nodes in stages [from, to), in order. */
export function emitCalls(
  nodes: readonly GraphNode[],
  step: StepSizes,
  stages: Stages,
): KernelCall[] {
  const calls: KernelCall[] = [];
  for (const node of nodes) {
    const call = isWithin(node, stages) ? node.emit(step) : undefined;
    if (call) calls.push(call);
  }
  return calls;
}

/** Nodes that run without the host, and the experts that it then brings; the last has none. */
export interface GraphSegment {
  readonly nodes: readonly GraphNode[];
  /** Where its stage runs. */
  fetch(stages: Stages): ExpertFetch | undefined;
}

export function graphSegments(nodes: readonly GraphNode[]): GraphSegment[] {
  const segments: GraphSegment[] = [];
  let from = 0;
  for (const [index, node] of nodes.entries()) {
    const isLast = index === nodes.length - 1;
    if (!node.fetch && !isLast) continue;
    const fetch = (stages: Stages) => (isWithin(node, stages) ? node.fetch : undefined);
    segments.push({ nodes: nodes.slice(from, index + 1), fetch });
    from = index + 1;
  }
  return segments;
}
