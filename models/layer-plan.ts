/**
 * Layer plans: which sublayers of a model a row runs. Owns the order of a model's stages, and what a
 * plan makes of them; when a request gets which plan, others decide.
 */
import type { DecoderSpec } from "./decoder.ts";
import { ModelError } from "./errors.ts";

/** As callers write it; layers count from 0, and all that it leaves out run once. */
export interface LayerPlanSpec {
  /** Layers whose attention and MLP are left out. */
  readonly skip?: readonly number[];
  readonly skipAttention?: readonly number[];
  readonly skipMlp?: readonly number[];
  /** Layers that run twice in a row, each time on keys and values of its own. */
  readonly repeat?: readonly number[];
}

export interface Stage {
  readonly kind: "embed" | "attention" | "mlp" | "head";
  /** Of a sublayer. */
  readonly layer: number;
  /** The first run of a layer that runs twice; it is left out otherwise. */
  readonly isExtra: boolean;
}

/** What a plan means for a model: plain data, matched by the scheduler's `LayerPlan`. */
export interface StagePlan {
  /** By stage. */
  readonly runs: readonly boolean[];
  /** By stage: an attention that does not run, and of which keys and values are kept all the same. */
  readonly fills?: readonly boolean[];
  /** By KV group: whether a sequence keeps anything there. */
  readonly keeps: readonly boolean[];
  readonly hash: string;
}

/**
 * Embedding, attention and MLP of each layer, head. Before a layer that may run twice, its first run:
 * then the last stages are the same ones for every plan.
 */
export function stagesOf({ layers, repeatable = [] }: DecoderSpec): Stage[] {
  const both = (layer: number, isExtra: boolean): Stage[] => [
    { kind: "attention", layer, isExtra },
    { kind: "mlp", layer, isExtra },
  ];
  const sublayers = layers.flatMap((_, layer) => [
    ...(repeatable.includes(layer) ? both(layer, true) : []),
    ...both(layer, false),
  ]);
  return [
    { kind: "embed", layer: -1, isExtra: false },
    ...sublayers,
    { kind: "head", layer: -1, isExtra: false },
  ];
}

const LISTS = ["skip", "skipAttention", "skipMlp", "repeat"] as const;

/**
 * Whether a value is a plan for so many layers.
 * @throws {ModelError} `bad_config` that says which list is wrong.
 */
export function checkLayerPlan(plan: LayerPlanSpec, numLayers: number): void {
  if (typeof plan !== "object" || plan === null || Array.isArray(plan)) {
    refuse(`a layer plan is ${show(plan)}`, 'write an object like {"skip": [3]}');
  }
  for (const [name, layers] of Object.entries(plan)) {
    const known = LISTS.some((list) => list === name);
    if (!known) refuse(`a layer plan has ${show(name)}`, `it takes ${LISTS.join(", ")}`);
    if (layers === undefined) continue;
    const isLayer = (layer: unknown) =>
      Number.isInteger(layer) && (layer as number) >= 0 && (layer as number) < numLayers;
    if (!Array.isArray(layers) || !layers.every(isLayer)) {
      refuse(
        `${name} of a layer plan is ${show(layers)}`,
        `the model has ${numLayers} layers: list some of 0 to ${numLayers - 1}`,
      );
    }
  }
  const { skip = [], skipAttention = [], skipMlp = [], repeat = [] } = plan;
  const twice = [...skip, ...skipAttention, ...skipMlp].find((layer) => repeat.includes(layer));
  if (twice !== undefined) {
    refuse(`a layer plan skips and repeats layer ${twice}`, "list it once");
  }
}

/**
 * @param groups KV groups: the layers of each, a layer's first run counted from `spec.layers.length` on.
 * @throws {ModelError} `bad_config`, also for a repeated layer that the spec has no place for.
 */
export function stagePlan(
  spec: DecoderSpec,
  groups: readonly { readonly layers: readonly number[] }[],
  plan: LayerPlanSpec,
): StagePlan {
  const { layers, repeatable = [] } = spec;
  checkLayerPlan(plan, layers.length);
  const { skip = [], skipAttention = [], skipMlp = [], repeat = [] } = plan;
  const stray = repeat.find((layer) => !repeatable.includes(layer));
  if (stray !== undefined) {
    refuse(
      `a layer plan repeats layer ${stray}, for whose second run this model has no cache`,
      "name the plan when the model is loaded (layerPlans)",
    );
  }
  const skipped = { attention: [...skip, ...skipAttention], mlp: [...skip, ...skipMlp] };
  const stages = stagesOf(spec);
  const runs = stages.map(({ kind, layer, isExtra }) => {
    if (kind === "embed" || kind === "head") return true;
    return isExtra ? repeat.includes(layer) : !skipped[kind].includes(layer);
  });
  if (runs.filter(Boolean).length === 2) {
    refuse(`a layer plan leaves out all ${layers.length} layers`, "leave one in");
  }
  const attending = new Set<number>();
  stages.forEach(({ kind, layer, isExtra }, stage) => {
    if (kind !== "attention" || !runs[stage]) return;
    attending.add(isExtra ? layers.length + repeatable.indexOf(layer) : layer);
  });
  const keeps = groups.map((group) => group.layers.some((layer) => attending.has(layer)));
  return { runs, keeps, hash: runs.map((isRun) => (isRun ? "1" : "0")).join("") };
}

/**
 * The model with a place for what plans repeat, and block tables for what some leave out: a sequence
 * that never attends in a layer keeps nothing there.
 * @throws {ModelError} `bad_config`.
 */
export function withLayerPlans(spec: DecoderSpec, plans: readonly LayerPlanSpec[]): DecoderSpec {
  const { layers } = spec;
  for (const plan of plans) checkLayerPlan(plan, layers.length);
  const repeats = (layer: number) => plans.some(({ repeat = [] }) => repeat.includes(layer));
  const repeatable = [...layers.keys()].filter(repeats);
  const skippedBy = (layer: number) =>
    plans.map(({ skip = [], skipAttention = [] }) => [...skip, ...skipAttention].includes(layer));
  const kinds = [...layers.keys()].map((layer) => skippedBy(layer).join());
  const tables = kinds.map((kind) => kinds.indexOf(kind));
  return {
    ...spec,
    ...(repeatable.length > 0 && { repeatable }),
    ...(plans.length > 0 && { tables }),
  };
}

/** Sublayers that a plan runs, and those of the model: 2 per layer. */
export const countSublayers = ({ runs }: Pick<StagePlan, "runs">): number =>
  runs.filter(Boolean).length - 2;

const show = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? String(value);

function refuse(what: string, cure: string): never {
  throw new ModelError("bad_config", `${what}; ${cure}`);
}
