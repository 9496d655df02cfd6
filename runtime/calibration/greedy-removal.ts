/** Which sublayers a model misses least: one after another is left out, whichever costs least. */
import type { LayerPlanSpec } from "../../models/layer-plan.ts";
import { planWithout, type Sublayer } from "./sublayers.ts";
import type { Fidelity } from "./yardstick.ts";

export interface RemovalOptions {
  /** Those that change their rows least come first: a guess at which are missed least. */
  readonly candidates: readonly Sublayer[];
  /** Tried before each removal: half of those that did best so far, half of those never tried. */
  readonly width: number;
  readonly maxRemoved: number;
  /** Ends where nothing that is tried keeps below it. */
  readonly maxKl: number;
  measure(plan: LayerPlanSpec): Promise<Fidelity>;
}

export interface Removal extends Fidelity {
  /** All that is left out so far, in the order that it was. */
  readonly removed: readonly Sublayer[];
}

/**
 * Greedy removal by KL. What a sublayer changes in its rows says little of what its loss does to the
 * answer, so it only decides who is tried first.
 */
export async function* greedyRemoval(options: RemovalOptions): AsyncGenerator<Removal> {
  const { width, maxRemoved, maxKl, measure } = options;
  const untried = [...options.candidates];
  /** With the KL of the last trial, which only grows staler. */
  let tried: { sublayer: Sublayer; kl: number }[] = [];
  let removed: readonly Sublayer[] = [];
  while (removed.length < maxRemoved && tried.length + untried.length > 0) {
    const fresh = untried.splice(0, Math.max(width - tried.length, Math.ceil(width / 2)));
    const known = tried.slice(0, width - fresh.length).map(({ sublayer }) => sublayer);
    const others = tried.slice(known.length);
    let best: Removal | undefined;
    const now: typeof tried = [];
    for (const sublayer of [...known, ...fresh]) {
      const left = [...removed, sublayer];
      const fidelity = await measure(planWithout(left));
      now.push({ sublayer, kl: fidelity.kl });
      if (best === undefined || fidelity.kl < best.kl) best = { ...fidelity, removed: left };
    }
    if (best === undefined || best.kl > maxKl) return;
    yield best;
    removed = best.removed;
    const gone = removed.at(-1);
    tried = [...now, ...others]
      .filter(({ sublayer }) => sublayer !== gone)
      .sort((a, b) => a.kl - b.kl);
  }
}
