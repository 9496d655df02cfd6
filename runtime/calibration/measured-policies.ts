/** What requests may choose between once a model is calibrated, with its speed and its accuracy. */
import type { Engine } from "../engine.ts";
import type { LayerPlanFile } from "../layer-plan-file.ts";
import type { LayerPolicy } from "../layer-policy.ts";
import { decodeSpeed } from "./decode-speed.ts";
import type { MeasuredExits } from "./exits.ts";
import { type TaskAccuracy, type TaskOptions, taskAccuracy } from "./task-accuracy.ts";
import type { Fidelity } from "./yardstick.ts";

export interface MeasuredPolicy extends Fidelity {
  readonly name: string;
  /** Never changes a token. */
  readonly lossless: boolean;
  /** By a token that is not drafted; a sublayer counts as half a layer. */
  readonly layersExecuted: number;
  /** One request alone, greedy. */
  readonly decodeTokPerS: number;
  /** Where there are tasks. */
  readonly tasks?: TaskAccuracy;
}

export interface PolicyRow extends Omit<MeasuredPolicy, "decodeTokPerS" | "tasks"> {
  readonly policy?: LayerPolicy;
}

/** Others use the machine too: the faster of two, one after all the others. */
const SPEED_ROUNDS = 2;
const WARM_UP_TOKENS = 8;

/** The whole model first, then what drafts for it, exits, plans that leave ever more out. */
export function policyRows(
  { plans, drafts }: LayerPlanFile,
  numLayers: number,
  exits?: MeasuredExits,
): PolicyRow[] {
  const whole = { lossless: true, layersExecuted: numLayers, kl: 0, top1Agreement: 1 };
  const draft = { ...whole, name: "self-speculation" } as const;
  const lookup = { ...whole, name: "prompt-lookup" } as const;
  return [
    { ...whole, name: "full" },
    ...(drafts.length > 0 ? [{ ...draft, policy: { name: draft.name, draft: drafts } }] : []),
    { ...lookup, policy: { name: lookup.name } },
    ...(exits ? [exitRow(exits)] : []),
    ...plans.map(({ plan, ...figures }): PolicyRow => {
      return { ...figures, policy: { name: "static", plan } };
    }),
  ];
}

function exitRow({ exits, ...figures }: MeasuredExits): PolicyRow {
  const threshold = exits.map((exit) => exit.threshold);
  const policy = { name: "early-exit", exits: exits.map(({ layer }) => layer), threshold } as const;
  return { ...figures, name: policy.name, lossless: false, policy };
}

export interface SpeedOptions {
  /** What every request goes on from. */
  readonly prompt: readonly number[];
  readonly tokens: number;
  readonly signal?: AbortSignal;
}

/** Tokens per second by row. */
export async function policySpeeds(
  engine: Engine,
  rows: readonly PolicyRow[],
  options: SpeedOptions,
  report: (done: number, total: number) => void,
): Promise<number[]> {
  // Whatever runs first pays for what is made once.
  await decodeSpeed(engine, { ...options, tokens: WARM_UP_TOKENS });
  const speeds = rows.map(() => 0);
  const numRuns = SPEED_ROUNDS * rows.length;
  for (let run = 0; run < numRuns; run++) {
    report(run, numRuns);
    const row = run % rows.length;
    const speed = await decodeSpeed(engine, { ...options, layerPolicy: rows[row].policy });
    speeds[row] = Math.max(speeds[row], speed);
  }
  report(numRuns, numRuns);
  return speeds;
}

/** By row; undefined without tasks. Lossless policies answer as the whole model, so it is asked once. */
export async function policyAccuracies(
  engine: Engine,
  rows: readonly PolicyRow[],
  options: TaskOptions,
  report: (done: number, total: number) => void,
): Promise<(TaskAccuracy | undefined)[]> {
  if (options.tasks.length === 0) return rows.map(() => undefined);
  const found: TaskAccuracy[] = [];
  for (const { lossless, policy } of rows) {
    report(found.length, rows.length);
    const isAsked = !lossless || found.length === 0;
    found.push(isAsked ? await taskAccuracy(engine, options, policy) : found[0]);
  }
  report(rows.length, rows.length);
  return found;
}
