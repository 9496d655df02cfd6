// Layer plans for a device that has one layer per KV group.

import type { Alternation, KvGroup, LayerPlan } from "../../scheduler/index.ts";

/**
 * @param left Stages that it leaves out, by bit: the first layer's attention, its MLP, the second's and
 *   so on.
 * @param idle Groups in which it keeps what it never uses, by bit.
 */
export function planOf(numLayers: number, left: number, idle = 0): LayerPlan {
  const runs = Array.from({ length: 2 * numLayers + 2 }, (_, stage) => {
    const isEdge = stage === 0 || stage === 2 * numLayers + 1;
    return isEdge || ((left >>> (stage - 1)) & 1) === 0;
  });
  const keeps = Array.from(
    { length: numLayers },
    (_, layer) => runs[2 * layer + 1] || ((idle >>> layer) & 1) === 1,
  );
  return { runs, keeps, hash: JSON.stringify([runs, keeps]) };
}

/**
 * @param left As above, of tokens that run less than `own`.
 * @param filled Groups of which they keep what they do not attend to, by bit; windows always.
 */
export function alternationOf(
  groups: readonly KvGroup[],
  { left, filled = 0, period }: { left: number; filled?: number; period: number },
  own?: LayerPlan,
): Alternation {
  const plan = planOf(groups.length, left);
  const runs = plan.runs.map((isRun, stage) => isRun && (own?.runs[stage] ?? true));
  const fills = runs.map((isRun, stage) => {
    const group = (stage - 1) / 2;
    if (!Number.isInteger(group) || isRun || !(own?.runs[stage] ?? true)) return false;
    return groups[group]?.window !== undefined || ((filled >>> group) & 1) === 1;
  });
  // Of what a sequence's own plan leaves out, nothing is ever read.
  const keeps = groups.map(
    ({ window }, group) => runs[2 * group + 1] || fills[2 * group + 1] || window !== undefined,
  );
  return { layerPlan: { runs, fills, keeps, hash: JSON.stringify([runs, fills]) }, period };
}
