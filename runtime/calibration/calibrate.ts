/**
 * Finds layer plans for a model by measurement alone: static ones of several sizes with what they cost,
 * and those that draft best. All text is the model's own, or answers to the caller's prompts.
 *
 *   own text → block influence → greedy removal by KL → held-out text → plans
 *                                                     → greedy text   → drafts
 */
import type { LayerPlanSpec } from "../../models/layer-plan.ts";
import type { Device } from "../device.ts";
import { Engine, type EngineOptions } from "../engine.ts";
import type { LayerPlanFile, NamedPlan } from "../layer-plan-file.ts";
import type { LayerPolicy } from "../layer-policies.ts";
import type { ModelFolder } from "../model-folder/model-folder.ts";
import { weightHash } from "../weights/weight-hash.ts";
import { decodeSpeed } from "./decode-speed.ts";
import { chooseDrafts, type DraftCandidate, expectedSpeedup } from "./draft-choice.ts";
import { greedyRemoval, type Removal } from "./greedy-removal.ts";
import { type Influence, sublayerInfluence } from "./influence.ts";
import { ownTexts } from "./own-text.ts";
import { planWithout, sublayersOf } from "./sublayers.ts";
import {
  type CalibrationTask,
  type TaskAccuracy,
  taskAccuracy,
  taskPrompt,
} from "./task-accuracy.ts";
import { type Fidelity, Yardstick } from "./yardstick.ts";

export interface CalibrateOptions
  extends Omit<EngineOptions, "layerPlans" | "prefixCache" | "onProgress"> {
  /**
   * Tokens that removals are judged by; as many are held out, and as many are greedy for drafts. Default
   * 512, and 128 on the reference device.
   */
  readonly tokens?: number;
  /** Their prompts are calibrated on, and their answers are counted for each plan. */
  readonly tasks?: readonly CalibrationTask[];
  readonly onProgress?: (progress: CalibrationProgress) => void;
  /** Of loading the model. */
  readonly onLoad?: EngineOptions["onProgress"];
}

export interface CalibrationProgress {
  readonly phase: "text" | "influence" | "removal" | "held out" | "drafts" | "speed" | "tasks";
  readonly done: number;
  readonly total: number;
}

/** A row of the table: a policy that requests can have. */
export interface MeasuredPolicy extends Fidelity {
  readonly name: string;
  /** Never changes a token. */
  readonly lossless: boolean;
  readonly layersExecuted: number;
  /** One request alone, greedy. */
  readonly decodeTokPerS: number;
  readonly tasks?: TaskAccuracy;
}

export interface MeasuredDraft extends DraftCandidate {
  readonly plan: LayerPlanSpec;
  /** Over plain decoding, as predicted from cost and agreement. */
  readonly expectedSpeedup: number;
}

export interface Calibration {
  readonly layers: number;
  /** Tokens that each of the figures rests on. */
  readonly tokens: number;
  readonly influence: readonly Influence[];
  /** The whole model first, then what drafts for it, then plans that leave ever more out. */
  readonly policies: readonly MeasuredPolicy[];
  /** What self-speculation was measured with, the most promising first. */
  readonly drafts: readonly MeasuredDraft[];
  /** To be stored. */
  readonly file: LayerPlanFile;
}

/** Positions with logits in one step. */
const LOGIT_ROWS = 32;
const SEEDS = { search: 1_000_000, heldOut: 2_000_000, greedy: 3_000_000 };
/** Trials before each removal. */
const WIDTH = 8;
/** Of all sublayers, the share that may be left out. */
const MOST_REMOVED = 0.6;
/** Nats: beyond it little is left of what the model says. */
const MAX_KL = 2;
/** Sizes that are kept as static plans. */
const STATIC_PLANS = 6;
const SPEED_TOKENS = 64;
/** Others use the machine too: the faster of two, one after all the others. */
const SPEED_ROUNDS = 2;

/** @throws {WeftError} of every kind that loading can. The device is destroyed. */
export async function calibrate(
  device: Device,
  folder: ModelFolder,
  options: CalibrateOptions = {},
): Promise<Calibration> {
  const { signal, quant, onLoad, onProgress, tasks = [], ...others } = options;
  const tokens = options.tokens ?? (device.info.kind === "reference" ? 128 : 512);
  const weights = await weightHash(folder, signal);
  const engine = await Engine.load(device, folder, {
    ...{ ...others, signal, quant, onProgress: onLoad },
    // Measurements overwrite what the cache holds.
    prefixCache: false,
    maxLogitRows: Math.max(LOGIT_ROWS, others.maxLogitRows ?? 0),
  });
  try {
    const report = (phase: CalibrationProgress["phase"], done: number, total: number) =>
      onProgress?.({ phase, done, total });
    const prompts = tasks.map((task) => taskPrompt(engine, task));
    const written = { tokens, prompts, signal };
    report("text", 0, 3);
    const text = await ownTexts(engine, { ...written, seed: SEEDS.search, temperature: 1 });
    report("text", 1, 3);
    const heldOutText = await ownTexts(engine, { ...written, seed: SEEDS.heldOut, temperature: 1 });
    report("text", 2, 3);
    const greedyText = await ownTexts(engine, { ...written, seed: SEEDS.greedy, temperature: 0 });
    report("text", 3, 3);
    await idle(engine);

    report("influence", 0, 1);
    const influence = await sublayerInfluence(engine, text, signal);
    report("influence", 1, 1);
    const { length: numLayers } = engine.plan.spec.layers;
    const maxRemoved = Math.floor(MOST_REMOVED * 2 * numLayers);
    const candidates = byInfluence(influence, numLayers);
    const search = await Yardstick.of(engine, text, signal);
    const measure = (plan: LayerPlanSpec) => search.measure(plan);
    const removals: Removal[] = [];
    report("removal", 0, maxRemoved);
    const limits = { width: WIDTH, maxRemoved, maxKl: MAX_KL };
    for await (const removal of greedyRemoval({ candidates, ...limits, measure })) {
      removals.push(removal);
      report("removal", removals.length, maxRemoved);
    }
    report("removal", maxRemoved, maxRemoved);

    const heldOut = await Yardstick.of(engine, heldOutText, signal);
    const kept = spread(removals, STATIC_PLANS);
    const plans: NamedPlan[] = [];
    for (const [i, { removed }] of kept.entries()) {
      report("held out", i, kept.length);
      const plan = planWithout(removed);
      const { kl, top1Agreement } = await heldOut.measure(plan);
      const layersExecuted = numLayers - removed.length / 2;
      const figures = { kl: rounded(kl), top1Agreement: rounded(top1Agreement), layersExecuted };
      plans.push({ name: `skip-${removed.length}`, plan, lossless: false, ...figures });
    }
    report("held out", kept.length, kept.length);

    const greedy = await Yardstick.of(engine, greedyText, signal);
    const drafting: (DraftCandidate & { plan: LayerPlanSpec })[] = [];
    for (const [i, { removed }] of removals.entries()) {
      report("drafts", i, removals.length);
      const plan = planWithout(removed);
      const { top1Agreement: agreement } = await greedy.measure(plan);
      drafting.push({ plan, cost: 1 - removed.length / (2 * numLayers), agreement });
    }
    report("drafts", removals.length, removals.length);
    const drafts = chooseDrafts(drafting).map((draft) => {
      return { ...draft, expectedSpeedup: expectedSpeedup(draft) };
    });
    const file: LayerPlanFile = {
      ...{ version: 1, weights, quant: quant ?? "none" },
      ...{ plans: front(plans), drafts: drafts.map(({ plan }) => plan) },
    };

    const rows = policiesOf(file, numLayers);
    const prompt = greedyText[0].ids.slice(0, greedyText[0].from);
    // Whatever runs first pays for what is made once.
    await decodeSpeed(engine, { prompt, tokens: 8, signal });
    const policies: MeasuredPolicy[] = rows.map(({ policy, ...row }) => ({
      ...row,
      decodeTokPerS: 0,
    }));
    const numRuns = SPEED_ROUNDS * rows.length;
    for (let run = 0; run < numRuns; run++) {
      report("speed", run, numRuns);
      const i = run % rows.length;
      const layerPolicy = rows[i].policy;
      const speed = await decodeSpeed(engine, {
        prompt,
        layerPolicy,
        tokens: SPEED_TOKENS,
        signal,
      });
      const decodeTokPerS = Math.max(policies[i].decodeTokPerS, speed);
      policies[i] = { ...policies[i], decodeTokPerS };
    }
    report("speed", numRuns, numRuns);
    if (tasks.length > 0) {
      // Lossless policies answer as the whole model does, by construction.
      const asked = rows.filter(({ lossless, policy }) => !lossless || policy === undefined);
      const found = new Map<string, TaskAccuracy>();
      for (const [i, { name, policy }] of asked.entries()) {
        report("tasks", i, asked.length);
        found.set(name, await taskAccuracy(engine, tasks, policy, signal));
      }
      report("tasks", asked.length, asked.length);
      for (const [i, row] of policies.entries()) {
        policies[i] = { ...row, tasks: found.get(row.lossless ? WHOLE : row.name) };
      }
    }
    return { layers: numLayers, tokens, influence, policies, drafts, file };
  } finally {
    await engine.close();
  }
}

const WHOLE = "full";

interface PolicyRow extends Omit<MeasuredPolicy, "decodeTokPerS" | "tasks"> {
  readonly policy: LayerPolicy | undefined;
}

function policiesOf({ plans, drafts }: LayerPlanFile, numLayers: number): PolicyRow[] {
  const whole = { lossless: true, layersExecuted: numLayers, kl: 0, top1Agreement: 1 };
  return [
    { ...whole, name: WHOLE, policy: undefined },
    ...(drafts.length > 0
      ? [
          {
            ...whole,
            name: "self-speculation",
            policy: { name: "self-speculation", draft: drafts },
          },
        ]
      : []),
    { ...whole, name: "prompt-lookup", policy: { name: "prompt-lookup" } },
    ...plans.map(({ plan, ...figures }) => ({ ...figures, policy: { name: "static", plan } })),
  ] as PolicyRow[];
}

/** Those that were measured, the least first; the last MLP, which was not, behind them. */
function byInfluence(influence: readonly Influence[], numLayers: number) {
  const of = new Map(influence.map((each) => [`${each.kind} ${each.layer}`, each.influence]));
  const ranked = sublayersOf(numLayers).map((sublayer) => {
    const known = of.get(`${sublayer.kind} ${sublayer.layer}`);
    return { sublayer, influence: known ?? Number.POSITIVE_INFINITY };
  });
  return ranked.sort((a, b) => a.influence - b.influence).map(({ sublayer }) => sublayer);
}

/** The first, the last and some between, nearer to each other in the beginning, where plans are good. */
function spread<T>(list: readonly T[], count: number): T[] {
  const places = Array.from({ length: count }, (_, i) => {
    return Math.round((list.length - 1) * (i / (count - 1)) ** 1.5);
  });
  return list.filter((_, place) => places.includes(place));
}

/** Without plans that are no better than one that runs less. */
const front = (plans: readonly NamedPlan[]): NamedPlan[] =>
  plans.filter(
    ({ kl, layersExecuted }) =>
      !plans.some((other) => other.layersExecuted < layersExecuted && other.kl <= kl),
  );

/** Six digits: more would be of the text, not of the plan. */
const rounded = (value: number): number => Number(value.toFixed(6));

/** Plans still in flight were made ahead of an end, and read what others will overwrite. */
async function idle({ loop }: Engine): Promise<void> {
  while (loop.usage.plans > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
