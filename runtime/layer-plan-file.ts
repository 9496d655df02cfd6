/**
 * layer-plans.json: layer plans that `weft calibrate` has found for a model, with what they cost. Owns its
 * format. A file is never trusted: what is not of these weights, or not as written here, is refused.
 */
import { checkLayerPlan, type LayerPlanSpec } from "../models/layer-plan.ts";
import { WeftError } from "./errors.ts";
import { LAYER_PLAN_FILE } from "./model-folder/config-files.ts";
import type { Quant } from "./placed-weight.ts";

export interface NamedPlan {
  /** For `layerPolicy: { name: "static", plan: … }`. */
  readonly name: string;
  readonly plan: LayerPlanSpec;
  /** A plan changes answers; only drafts, which are verified, do not. */
  readonly lossless: false;
  /** Mean KL(whole ‖ plan) of next tokens in nats, on texts that the plan was not chosen by. */
  readonly kl: number;
  /** On the same texts, the share of tokens whose likeliest id is the whole model's. */
  readonly top1Agreement: number;
  /** Of the model's; a sublayer counts as half a layer. */
  readonly layersExecuted: number;
}

export interface LayerPlanFile {
  readonly version: 1;
  /** `weightHash` of the model that was calibrated. */
  readonly weights: string;
  /** As it was loaded. */
  readonly quant: Quant | "none";
  readonly plans: readonly NamedPlan[];
  /** What self-speculation drafts with, the most promising first. */
  readonly drafts: readonly LayerPlanSpec[];
  /** Where tokens may leave off, by rising layer, for `layerPolicy: { name: "early-exit" }`; default none. */
  readonly exits?: readonly MeasuredExit[];
}

export interface MeasuredExit {
  /** Before it. */
  readonly layer: number;
  /** From this probability of the likeliest token on. */
  readonly threshold: number;
  /** Of those that leave off, the share that may say something else than the whole model. */
  readonly disagreement: number;
}

/** What a file must be of. */
export interface PlannedModel {
  readonly weights: string;
  readonly quant: Quant | undefined;
  readonly numLayers: number;
}

const MAX_PLANS = 64;
const NAME = /^[\w.-]{1,64}$/;
const CURE = `run weft calibrate for this model, or leave the file out`;

/**
 * @param location Of the file, for messages.
 * @throws {WeftError} `bad_file`.
 */
export function checkLayerPlanFile(
  value: unknown,
  model: PlannedModel,
  location = LAYER_PLAN_FILE,
): LayerPlanFile {
  const refuse = (what: string, actual: unknown, required: string): never => {
    const shown = (JSON.stringify(actual) ?? "missing").slice(0, 80);
    throw new WeftError("bad_file", `${location}: ${what} is ${shown}, ${required}; ${CURE}`);
  };
  const file = isObject(value) ? value : refuse("it", value, "it must be an object");
  if (file.version !== 1) refuse("version", file.version, "this version reads 1");
  if (file.weights !== model.weights) {
    refuse("weights", file.weights, `this model's are ${model.weights}: the file is of others`);
  }
  const quant = model.quant ?? "none";
  if (file.quant !== quant) {
    refuse("quant", file.quant, `the model is loaded with ${quant}: give the same quantisation`);
  }
  const { plans, drafts } = file;
  for (const [name, list] of Object.entries({ plans, drafts })) {
    if (Array.isArray(list) && list.length <= MAX_PLANS) continue;
    refuse(name, list, `it must be a list of at most ${MAX_PLANS}`);
  }
  const checkPlan = (what: string, plan: unknown) => {
    try {
      checkLayerPlan(plan as LayerPlanSpec, model.numLayers);
    } catch (error) {
      refuse(what, plan, error instanceof Error ? error.message : String(error));
    }
    const { repeat = [] } = plan as LayerPlanSpec;
    if (repeat.length > 0) refuse(what, plan, "it must repeat no layer");
  };
  const names = new Set<string>();
  for (const [i, entry] of (plans as unknown[]).entries()) {
    const at = `plans[${i}]`;
    const named = isObject(entry) ? entry : refuse(at, entry, "it must be an object");
    const { name, kl, top1Agreement, layersExecuted } = named;
    if (typeof name !== "string" || !NAME.test(name) || names.has(name)) {
      refuse(`${at}.name`, name, "it must be a name of its own of letters, digits, . _ and -");
    }
    names.add(name as string);
    checkPlan(`${at}.plan`, named.plan);
    if (named.lossless !== false) refuse(`${at}.lossless`, named.lossless, "it must be false");
    const isWithin = (actual: unknown, high: number) =>
      typeof actual === "number" && actual >= 0 && actual <= high;
    if (!isWithin(kl, Number.MAX_VALUE)) refuse(`${at}.kl`, kl, "it must be 0 or more");
    if (!isWithin(top1Agreement, 1)) {
      refuse(`${at}.top1Agreement`, top1Agreement, "it must be from 0 to 1");
    }
    if (!isWithin(layersExecuted, model.numLayers)) {
      refuse(`${at}.layersExecuted`, layersExecuted, `it must be from 0 to ${model.numLayers}`);
    }
  }
  for (const [i, draft] of (drafts as unknown[]).entries()) {
    checkPlan(`drafts[${i}]`, draft);
    const left = ["skip", "skipAttention", "skipMlp"].flatMap(
      (list) => (draft as Record<string, readonly number[]>)[list] ?? [],
    );
    if (left.length === 0) refuse(`drafts[${i}]`, draft, "it must leave a sublayer out");
  }
  checkExits(file.exits ?? [], model.numLayers, refuse);
  return value as LayerPlanFile;
}

function checkExits(
  exits: unknown,
  numLayers: number,
  refuse: (what: string, actual: unknown, required: string) => never,
): void {
  const list = Array.isArray(exits) ? exits : refuse("exits", exits, "it must be a list");
  let before = 0;
  for (const [i, exit] of list.entries()) {
    const { layer, threshold } = isObject(exit)
      ? exit
      : refuse(`exits[${i}]`, exit, "it must be an object");
    const isLater = Number.isInteger(layer) && (layer as number) > before;
    if (!isLater || (layer as number) >= numLayers) {
      refuse(`exits[${i}].layer`, layer, `it must rise, from 1 to ${numLayers - 1}`);
    }
    if (!(typeof threshold === "number" && threshold > 0 && threshold <= 1)) {
      refuse(`exits[${i}].threshold`, threshold, "it must be above 0, at most 1");
    }
    before = layer as number;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
