/**
 * `--layer-policy`, `--layer-plans`, `--layer-routers` and `--layer-plan`: which layers run, by name or as
 * they are written. For all commands that make requests.
 */
import { existsSync } from "node:fs";
import type { CreateEngineOptions, LayerPlan, LayerPlanFile, LayerPolicy } from "../../node.ts";
import { layerPlan } from "./layer-plan-option.ts";
import { UsageError } from "./option.ts";
import { text } from "./option-types.ts";
import { readTextFile } from "./text-file.ts";

export const layerPolicyOptions = {
  layerPlan,
  layerPolicy: text(
    "NAME",
    "self-speculation or prompt-lookup, which change no token; early-exit, routers, temporal (with --layer-plan), or a plan of --layer-plans",
  ),
  layerPlans: text(
    "F.json",
    "what weft calibrate has written; default layer-plans.json in the model's folder",
  ),
  layerRouters: text("FOLDER", "trained routers of layers, for --layer-policy routers"),
};

interface LayerPolicyValues {
  readonly layerPlan?: LayerPlan;
  readonly layerPolicy?: string;
  readonly layerPlans?: string;
  readonly layerRouters?: string;
}

/** Of requests, and what the engine needs for it. */
export interface LayerPolicyChoice {
  readonly layerPolicy?: LayerPolicy;
  readonly engineOptions: Pick<
    CreateEngineOptions,
    "layerPlans" | "layerPlanFile" | "layerRouters"
  >;
}

/** @throws {UsageError}, {WeftError} of a file that cannot be read. */
export function layerPolicyOf(values: LayerPolicyValues): LayerPolicyChoice {
  const { layerPlan, layerPolicy: name, layerPlans, layerRouters } = values;
  if (layerPlan && name !== undefined && name !== "temporal") {
    throw new UsageError("--layer-plan and --layer-policy are both given; leave one out");
  }
  if (name === "temporal" && !layerPlan) {
    throw new UsageError(
      "--layer-policy temporal needs what most tokens leave out; add --layer-plan JSON",
    );
  }
  if (layerPlans !== undefined && name === undefined) {
    throw new UsageError("--layer-plans is given without --layer-policy; say which of its plans");
  }
  if (layerRouters !== undefined && name !== "routers") {
    throw new UsageError("--layer-routers is given without --layer-policy routers; add it");
  }
  if (name === "routers" && layerRouters === undefined) {
    throw new UsageError("--layer-policy routers needs trained ones; add --layer-routers FOLDER");
  }
  const layerPlanFile = layerPlans === undefined ? undefined : readJson(layerPlans);
  if (layerPlan) {
    const isTemporal = name === "temporal";
    const layerPolicy: LayerPolicy = { name: isTemporal ? name : "static", plan: layerPlan };
    return { layerPolicy, engineOptions: { layerPlans: [layerPlan] } };
  }
  const layerPolicy = name === undefined ? undefined : policyNamed(name);
  return { layerPolicy, engineOptions: { layerPlanFile, layerRouters } };
}

function policyNamed(name: string): LayerPolicy {
  switch (name) {
    case "self-speculation":
    case "prompt-lookup":
    case "early-exit":
    case "routers":
      return { name };
    default:
      return { name: "static", plan: name };
  }
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
