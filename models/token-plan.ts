/**
 * Plans that some tokens of a sequence run while others run all of the model: what they leave out, the
 * others still look back on. Owns what such a token keeps there.
 */
import type { DecoderSpec, LayerGroup } from "./decoder.ts";
import { ModelError } from "./errors.ts";
import {
  checkLayerPlan,
  type LayerPlanSpec,
  type StagePlan,
  stagePlan,
  stagesOf,
} from "./layer-plan.ts";

/**
 * What attention that is left out for a token keeps of it:
 *
 * - `fill`: keys and values of what would have been its input; they cost their part of the layer;
 * - `hole`: nothing. Later tokens see those alone that ran the layer, and there is less to keep.
 */
export type TokenCache = "fill" | "hole";

/**
 * @param groups KV groups of the model. Holes are left in whole groups.
 * @throws {ModelError} `bad_config`.
 */
export function tokenPlan(
  spec: DecoderSpec,
  groups: readonly LayerGroup[],
  plan: LayerPlanSpec,
  cache: TokenCache,
): StagePlan {
  checkLayerPlan(plan, spec.layers.length);
  if ((plan.repeat ?? []).length > 0) {
    refuse("a layer plan for some of the tokens repeats layers", "leave layers out only");
  }
  const { runs, keeps, hash } = stagePlan(spec, groups, plan);
  const stages = stagesOf(spec);
  const left = stages.flatMap(({ kind, layer, isExtra }, stage) =>
    kind === "attention" && !isExtra && !runs[stage] ? [layer] : [],
  );
  const convolving = left.find((layer) => spec.layers[layer].convolution);
  if (convolving !== undefined) {
    refuse(
      `a layer plan for some of the tokens leaves out the convolution of layer ${convolving}, which ` +
        "needs every token",
      "leave it in",
    );
  }
  if (cache === "hole") {
    checkHoles(spec, groups, left);
    // First runs of repeated layers are nobody's here.
    const kept = keeps.map((isKept, group) => isKept || groups[group].isExtra === true);
    return { runs, keeps: kept, hash: `${hash} hole` };
  }
  const fills = stages.map(({ kind, isExtra }, stage) => {
    return kind === "attention" && !isExtra && !runs[stage];
  });
  return { runs, fills, keeps: groups.map(() => true), hash: `${hash} fill` };
}

function checkHoles(
  { layers }: DecoderSpec,
  groups: readonly LayerGroup[],
  left: readonly number[],
): void {
  const windowed = left.find((layer) => layers[layer].window !== undefined);
  if (windowed !== undefined) {
    refuse(
      `a layer plan for some of the tokens leaves holes in layer ${windowed}, whose window counts tokens`,
      'leave its attention in, or choose cache: "fill"',
    );
  }
  for (const { layers: members } of groups) {
    const isLeft = members.map((layer) => left.includes(layer));
    if (!isLeft.includes(true) || !isLeft.includes(false)) continue;
    const [hole, whole] = [members[isLeft.indexOf(true)], members[isLeft.indexOf(false)]];
    refuse(
      `a layer plan for some of the tokens leaves holes in layer ${hole}, which shares its cache with ` +
        `layer ${whole}`,
      'name the plan when the model is loaded (layerPlans), or choose cache: "fill"',
    );
  }
}

function refuse(what: string, cure: string): never {
  throw new ModelError("bad_config", `${what}; ${cure}`);
}
