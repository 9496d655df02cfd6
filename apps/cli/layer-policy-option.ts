/** `--layer-policy`, `--layer-plans` and `--layer-plan`: which layers run, by name or as they are written. */
import { existsSync } from "node:fs";
import type { LayerPlan, LayerPlanFile, LayerPolicy } from "../../node.ts";
import { layerPlan } from "./layer-plan-option.ts";
import { UsageError } from "./option.ts";
import { text } from "./option-types.ts";
import { readTextFile } from "./text-file.ts";

export const layerPolicyOptions = {
  layerPlan,
  layerPolicy: text(
    "NAME",
    "self-speculation or prompt-lookup, which change no token, or a plan of --layer-plans",
  ),
  layerPlans: text(
    "F.json",
    "what weft calibrate has written; default layer-plans.json in the model's folder",
  ),
};

interface LayerPolicyValues {
  readonly layerPlan?: LayerPlan;
  readonly layerPolicy?: string;
  readonly layerPlans?: string;
}

/** @throws {UsageError}, {WeftError} of a file that cannot be read. */
export function layerPolicyOf({ layerPlan, layerPolicy: name, layerPlans }: LayerPolicyValues): {
  readonly layerPolicy?: LayerPolicy;
  readonly layerPlans?: readonly LayerPlan[];
  readonly layerPlanFile?: LayerPlanFile;
} {
  if (layerPlan && name !== undefined) {
    throw new UsageError("--layer-plan and --layer-policy are both given; leave one out");
  }
  if (layerPlans !== undefined && name === undefined) {
    throw new UsageError("--layer-plans is given without --layer-policy; say which of its plans");
  }
  const layerPlanFile = layerPlans === undefined ? undefined : readJson(layerPlans);
  if (layerPlan) {
    return { layerPolicy: { name: "static", plan: layerPlan }, layerPlans: [layerPlan] };
  }
  if (name === undefined) return {};
  const isLossless = name === "self-speculation" || name === "prompt-lookup";
  const layerPolicy: LayerPolicy = isLossless ? { name } : { name: "static", plan: name };
  return { layerPolicy, layerPlanFile };
}

/** What is in it, the engine checks. */
function readJson(path: string): LayerPlanFile {
  if (!existsSync(path)) {
    throw new UsageError(`--layer-plans: there is no file ${path}; correct the path`);
  }
  const content = readTextFile(path);
  try {
    return JSON.parse(content);
  } catch {
    throw new UsageError(
      `--layer-plans: ${path} is not JSON; give what weft calibrate has written`,
    );
  }
}
