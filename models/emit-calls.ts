/** The calls of one step: of a graph's nodes in a range of stages, and where the host comes in between. */
import type { KernelCall } from "../kernels/kernel.ts";
import type { ExpertFetch, GraphNode } from "./graph.ts";
import type { RowCount, StepSizes } from "./step-sizes.ts";

/** What of a graph runs. */
export interface StageSelection {
  /** Half-open. */
  readonly from: number;
  readonly to: number;
  /** Of attention nothing but keys and values, and of other stages nothing. */
  readonly keysOnly?: boolean;
  /** Of the last MLP: "R", the default, unless some of the rows that are sampled leave it out. */
  readonly lastMlp?: RowCount;
}

const isSelected = (
  { stage, form, makesKeys }: GraphNode,
  { from, to, keysOnly = false, lastMlp = "R" }: StageSelection,
): boolean =>
  stage >= from &&
  stage < to &&
  (form === undefined || form === lastMlp) &&
  (!keysOnly || makesKeys === true);

/** Calls of the nodes that are selected, in order. */
export function emitCalls(
  nodes: readonly GraphNode[],
  step: StepSizes,
  selection: StageSelection,
): KernelCall[] {
  const calls: KernelCall[] = [];
  for (const node of nodes) {
    const call = isSelected(node, selection) ? node.emit(step) : undefined;
    if (call) calls.push(call);
  }
  return calls;
}

/** Nodes that run without the host, and the experts that it then brings; the last has none. */
export interface GraphSegment {
  readonly nodes: readonly GraphNode[];
  /** Where it runs. */
  fetch(selection: StageSelection): ExpertFetch | undefined;
}

export function graphSegments(nodes: readonly GraphNode[]): GraphSegment[] {
  const segments: GraphSegment[] = [];
  let from = 0;
  for (const [index, node] of nodes.entries()) {
    const isLast = index === nodes.length - 1;
    if (!node.fetch && !isLast) continue;
    const fetch = (selection: StageSelection) =>
      isSelected(node, selection) ? node.fetch : undefined;
    segments.push({ nodes: nodes.slice(from, index + 1), fetch });
    from = index + 1;
  }
  return segments;
}
