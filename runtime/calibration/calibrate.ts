/**
 * Finds layer plans for a model by measurement alone: static ones of several sizes with what they cost,
 * and those that draft best. All text is the model's own, or answers to the caller's prompts.
 *
 *   own text → block influence → greedy removal by KL → held-out text → static plans
 *                                                     → greedy text   → drafts, exits
 */
import { defaultExits } from "../../models/exit-plan.ts";
import type { LayerPlanSpec } from "../../models/layer-plan.ts";
import { seededRandom } from "../../scheduler/index.ts";
import type { Device } from "../device.ts";
import { Engine } from "../engine.ts";
import type { EngineOptions } from "../engine-options.ts";
import type { LayerPlanFile } from "../layer-plan-file.ts";
import type { ModelFolder } from "../model-folder/model-folder.ts";
import { weightHash } from "../weights/weight-hash.ts";
import { chooseDrafts, type DraftCandidate, expectedSpeedup } from "./draft-choice.ts";
import { type ExitTexts, type MeasuredExits, measuredExits } from "./exits.ts";
import { greedyRemoval, type Removal } from "./greedy-removal.ts";
import { byInfluence, type Influence, sublayerInfluence } from "./influence.ts";
import {
  type MeasuredPolicy,
  policyAccuracies,
  policyRows,
  policySpeeds,
} from "./measured-policies.ts";
import { type OwnText, type OwnTextOptions, ownTexts } from "./own-text.ts";
import { staticPlans } from "./static-plans.ts";
import { planWithout } from "./sublayers.ts";
import { type CalibrationTask, taskPrompt } from "./task-accuracy.ts";
import { Yardstick } from "./yardstick.ts";

export interface CalibrateOptions
  extends Omit<EngineOptions, "layerPlans" | "layerPlanFile" | "prefixCache" | "onProgress"> {
  /**
   * Tokens that removals are judged by; as many are held out, and as many are greedy for drafts. Default
   * 512, and 128 on the reference device.
   */
  readonly tokens?: number;
  /** Their prompts are calibrated on, and for each plan it is counted how many it answers rightly. */
  readonly tasks?: readonly CalibrationTask[];
  /** Longer answers to tasks are cut, and wrong. Default 512. */
  readonly maxAnswerTokens?: number;
  readonly onProgress?: (progress: CalibrationProgress) => void;
  /** Of loading the model. */
  readonly onLoad?: EngineOptions["onProgress"];
}

export interface CalibrationProgress {
  readonly phase:
    | "texts"
    | "influence"
    | "removals"
    | "plans"
    | "drafts"
    | "exits"
    | "speeds"
    | "tasks";
  readonly done: number;
  readonly total: number;
}

export interface MeasuredDraft extends DraftCandidate {
  readonly plan: LayerPlanSpec;
  /** Over plain decoding, as predicted from cost and agreement. */
  readonly expectedSpeedup: number;
}

export interface Calibration {
  readonly layers: number;
  /** That each of the figures rests on. */
  readonly tokens: number;
  readonly influence: readonly Influence[];
  /** The whole model, what drafts for it, and the static plans. */
  readonly policies: readonly MeasuredPolicy[];
  /** What self-speculation was measured with, the most promising first. */
  readonly drafts: readonly MeasuredDraft[];
  /** To be stored. */
  readonly file: LayerPlanFile;
}

/** Positions with logits in one step. */
const LOGIT_ROWS = 32;
const REFERENCE_TOKENS = 128;
const GPU_TOKENS = 512;
const SEEDS = { search: 1_000_000, heldOut: 2_000_000, greedy: 3_000_000 };
/** Trials before each removal. */
const WIDTH = 8;
/** Of all sublayers, the share that may be left out. */
const MOST_REMOVED = 0.6;
/** Nats: beyond it little is left of what the model says. */
const MAX_KL = 2;
/** Enough for self-speculation to learn whether it pays. */
const SPEED_TOKENS = 64;

/** @throws {WeftError} of every kind that loading can. The device is destroyed. */
export async function calibrate(
  device: Device,
  folder: ModelFolder,
  { onLoad, onProgress, tasks = [], ...options }: CalibrateOptions = {},
): Promise<Calibration> {
  const { signal, quant, maxAnswerTokens } = options;
  const { tokens = device.info.kind === "reference" ? REFERENCE_TOKENS : GPU_TOKENS } = options;
  const reporter = (phase: CalibrationProgress["phase"]) => (done: number, total: number) =>
    onProgress?.({ phase, done, total });
  const weights = await weightHash(folder, signal);
  const engine = await Engine.load(
    { device, folder },
    {
      ...{ ...options, onProgress: onLoad },
      // Measurements overwrite what the cache holds.
      prefixCache: false,
      maxLogitRows: Math.max(LOGIT_ROWS, options.maxLogitRows ?? 0),
    },
  );
  try {
    const { length: layers } = engine.plan.spec.layers;
    const prompts = tasks.map((task) => taskPrompt(engine, task));
    const written = { tokens, prompts, signal };
    const texts = await threeTexts(engine, written, reporter("texts"));
    await idle(engine);
    reporter("influence")(0, 1);
    const influence = await sublayerInfluence(engine, texts.search, signal);
    reporter("influence")(1, 1);
    const candidates = byInfluence(influence, layers);
    const search = await Yardstick.of(engine, texts.search, signal);
    const removals = await allRemovals(search, candidates, reporter("removals"));
    const heldOut = await Yardstick.of(engine, texts.heldOut, signal);
    const plans = await staticPlans(removals, layers, heldOut, reporter("plans"));
    const greedy = await Yardstick.of(engine, texts.greedy, signal);
    const drafts = await bestDrafts(removals, layers, greedy, reporter("drafts"));
    const exits = await bestExits(
      engine,
      { chosenBy: [search, greedy], heldOut },
      reporter("exits"),
    );
    const file: LayerPlanFile = {
      ...{ version: 1, weights, quant: quant ?? "none" },
      ...{ plans, drafts: drafts.map(({ plan }) => plan) },
      ...(exits && { exits: exits.exits }),
    };
    const rows = policyRows(file, layers, exits);
    const [{ ids, from }] = texts.greedy;
    const speed = { prompt: ids.slice(0, from), tokens: Math.min(SPEED_TOKENS, tokens), signal };
    const speeds = await policySpeeds(engine, rows, speed, reporter("speeds"));
    const asked = { tasks, maxAnswerTokens, signal };
    const counted = await policyAccuracies(engine, rows, asked, reporter("tasks"));
    const policies = rows.map(({ policy: _, ...row }, i) => {
      return { ...row, decodeTokPerS: speeds[i], tasks: counted[i] };
    });
    return { layers, tokens, influence, policies, drafts, file };
  } finally {
    await engine.close();
  }
}

/**
 * One to choose by, one to judge what was chosen, and one for what greedy requests are: each of prompts of
 * its own, drawn from all kinds that a file may list one after the other.
 */
async function threeTexts(
  engine: Engine,
  { prompts = [], ...options }: Pick<OwnTextOptions, "tokens" | "prompts" | "signal">,
  report: (done: number, total: number) => void,
) {
  const random = seededRandom(SEEDS.search);
  const drawn = prompts
    .map((prompt) => ({ prompt, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ prompt }) => prompt);
  const texts: Record<string, OwnText[]> = {};
  for (const [i, [name, seed]] of Object.entries(SEEDS).entries()) {
    report(i, 3);
    const temperature = name === "greedy" ? 0 : 1;
    const own = { ...options, prompts: drawn.filter((_, at) => at % 3 === i) };
    texts[name] = await ownTexts(engine, { ...own, seed, temperature });
  }
  report(3, 3);
  return texts as Record<keyof typeof SEEDS, OwnText[]>;
}

async function allRemovals(
  search: Yardstick,
  candidates: ReturnType<typeof byInfluence>,
  report: (done: number, total: number) => void,
): Promise<Removal[]> {
  const maxRemoved = Math.floor(MOST_REMOVED * candidates.length);
  const limits = { width: WIDTH, maxRemoved, maxKl: MAX_KL };
  const measure = (plan: LayerPlanSpec) => search.measure(plan);
  const removals: Removal[] = [];
  report(0, maxRemoved);
  for await (const removal of greedyRemoval({ candidates, ...limits, measure })) {
    removals.push(removal);
    report(removals.length, maxRemoved);
  }
  return removals;
}

/** Where the device can decide what runs, and tokens can leave off at all. */
async function bestExits(
  { plan: { spec, experts } }: Engine,
  texts: ExitTexts,
  report: (done: number, total: number) => void,
): Promise<MeasuredExits | undefined> {
  const convolving = spec.layers.findLastIndex(({ convolution }) => convolution);
  const layers = defaultExits(spec).filter((layer) => layer > convolving);
  if (experts || layers.length === 0) return undefined;
  return measuredExits(texts, layers, spec.layers.length, report);
}

async function bestDrafts(
  removals: readonly Removal[],
  numLayers: number,
  greedy: Yardstick,
  report: (done: number, total: number) => void,
): Promise<MeasuredDraft[]> {
  const candidates: (DraftCandidate & Pick<MeasuredDraft, "plan">)[] = [];
  for (const { removed } of removals) {
    report(candidates.length, removals.length);
    const plan = planWithout(removed);
    const { top1Agreement: agreement } = await greedy.measure(plan);
    candidates.push({ plan, cost: 1 - removed.length / (2 * numLayers), agreement });
  }
  report(removals.length, removals.length);
  return chooseDrafts(candidates).map((draft) => {
    return { ...draft, expectedSpeedup: expectedSpeedup(draft) };
  });
}

/** Plans still in flight were made ahead of an end, and write where others will measure. */
async function idle({ loop }: Engine): Promise<void> {
  while (loop.usage.plans > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
