// Layer plans for a device that has one layer per KV group.

import type { LayerPlan } from "../../scheduler/index.ts";

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
