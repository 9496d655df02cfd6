/** Static plans of several sizes, out of one removal after another. */
import type { NamedPlan } from "../layer-plan-file.ts";
import type { Removal } from "./greedy-removal.ts";
import { planWithout } from "./sublayers.ts";
import type { Yardstick } from "./yardstick.ts";

/** Sizes that are kept. */
const SIZES = 6;

/**
 * Their figures are of text that they were not chosen by. Plans that are no better than one that runs less
 * are left out.
 */
export async function staticPlans(
  removals: readonly Removal[],
  numLayers: number,
  heldOut: Yardstick,
  report: (done: number, total: number) => void,
): Promise<NamedPlan[]> {
  const kept = spread(removals);
  const plans: NamedPlan[] = [];
  for (const { removed } of kept) {
    report(plans.length, kept.length);
    const plan = planWithout(removed);
    const { kl, top1Agreement } = await heldOut.measure(plan);
    const layersExecuted = numLayers - removed.length / 2;
    const figures = { kl: rounded(kl), top1Agreement: rounded(top1Agreement), layersExecuted };
    plans.push({ name: `skip-${removed.length}`, plan, lossless: false, ...figures });
  }
  report(kept.length, kept.length);
  return front(plans);
}

/** The first, the last and some between, nearer to each other in the beginning, where plans are good. */
function spread<T>(list: readonly T[]): T[] {
  const places = Array.from({ length: SIZES }, (_, i) =>
    Math.round((list.length - 1) * (i / (SIZES - 1)) ** 1.5),
  );
  return list.filter((_, place) => places.includes(place));
}

const front = (plans: readonly NamedPlan[]): NamedPlan[] =>
  plans.filter(
    ({ kl, layersExecuted }) =>
      !plans.some((other) => other.layersExecuted < layersExecuted && other.kl <= kl),
  );

/** Six digits: more would be of the text, not of the plan. */
const rounded = (value: number): number => Number(value.toFixed(6));
