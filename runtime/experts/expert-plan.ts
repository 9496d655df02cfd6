/**
 * Where experts lie when not all fit: pools of slots, each for the layers whose experts are alike in
 * shape and format. From headers alone; makes no buffer.
 */
import type { DecoderSpec } from "../../models/decoder.ts";
import { layerWeight } from "../../models/weights.ts";
import { WeftError } from "../errors.ts";
import { type PlacedWeight, placedBytes } from "../placed-weight.ts";
import { checkExpertOptions, type ExpertOptions } from "./expert-options.ts";
import type { ExpertId } from "./expert-slots.ts";
import { stackOf } from "./expert-tensors.ts";

const STACKS = ["experts_gate_up", "experts_down"] as const;
const BIASES = ["experts_gate_up_bias", "experts_down_bias"] as const;
export type ExpertPart = (typeof STACKS)[number] | (typeof BIASES)[number];

export interface ExpertPoolPlan {
  readonly layers: readonly number[];
  readonly slots: number;
  /** Of one expert, all parts. */
  readonly slotBytes: number;
  /** Slots that one token fills at a time. */
  readonly chosen: number;
  /** The slots of each part as one stack; without tensors. */
  readonly stacks: ReadonlyMap<ExpertPart, PlacedWeight>;
}

export interface ExpertPlan extends ExpertOptions {
  readonly pools: readonly ExpertPoolPlan[];
  /** On the device: what the pools take, never more than `memoryBytes`. */
  readonly poolBytes: number;
  /** Of all experts. */
  readonly totalBytes: number;
  /** Parts of experts, by their names as weights. */
  readonly placed: ReadonlyMap<string, PlacedWeight>;
}

/**
 * Undefined where all experts fit.
 * @throws {WeftError} `bad_request`; `memory_budget_too_small` where one token's experts do not.
 */
export function planExperts(
  spec: DecoderSpec,
  weights: readonly PlacedWeight[],
  options: ExpertOptions,
): ExpertPlan | undefined {
  checkExpertOptions(spec, options);
  const pinned = eachOnce(options.pinned ?? []);
  const placed = new Map(weights.map((weight) => [weight.spec.name, weight]));
  const own = new Map<string, PlacedWeight>();
  const classes = new Map<string, PoolClass>();
  for (const [layer, { moe }] of spec.layers.entries()) {
    if (!moe) continue;
    const parts = new Map<ExpertPart, PlacedWeight>();
    for (const part of [...STACKS, ...BIASES]) {
      const weight = placed.get(layerWeight(layer, part));
      if (!weight) continue;
      parts.set(part, weight);
      own.set(weight.spec.name, weight);
    }
    const key = [...parts].map(([part, weight]) => `${part} ${likeness(weight)}`).join();
    const known = classes.get(key);
    if (known) known.layers.push(layer);
    else classes.set(key, { layers: [layer], parts, chosen: moe.router.chosen });
  }
  const totalBytes = [...own.values()].reduce((sum, weight) => sum + placedBytes(weight), 0);
  if (options.memoryBytes >= totalBytes) return undefined;
  const pools = divide([...classes.values()], { ...options, pinned });
  const poolBytes = pools.reduce((sum, { slots, slotBytes }) => sum + slots * slotBytes, 0);
  return { ...options, pinned, pools, poolBytes, totalBytes, placed: own };
}

const eachOnce = (ids: readonly ExpertId[]): ExpertId[] => [
  ...new Map(ids.map(({ layer, expert }) => [`${layer}/${expert}`, { layer, expert }])).values(),
];

interface PoolClass {
  readonly layers: number[];
  /** Of the first of the layers. */
  readonly parts: ReadonlyMap<ExpertPart, PlacedWeight>;
  readonly chosen: number;
}

const likeness = ({ spec: { rows, columns, stacked }, runs }: PlacedWeight): string =>
  `${rows}x${columns}/${stacked} ${runs[0].format}`;

/** Each class what one token needs, and of the rest its share of all experts. */
function divide(
  classes: readonly PoolClass[],
  { memoryBytes, pinned = [] }: ExpertOptions,
): ExpertPoolPlan[] {
  const sized = classes.map((of) => {
    const parts = [...of.parts.values()];
    const slotBytes = parts.reduce((sum, part) => sum + placedBytes(part) / part.spec.stacked, 0);
    const own = pinned.filter(({ layer }) => of.layers.includes(layer)).length;
    const all = of.layers.length * parts[0].spec.stacked;
    return { ...of, slotBytes, least: Math.min(all, of.chosen + own), all };
  });
  const sum = (of: (pool: (typeof sized)[number]) => number) =>
    sized.reduce((total, pool) => total + of(pool), 0);
  const leastBytes = sum(({ least, slotBytes }) => least * slotBytes);
  if (memoryBytes < leastBytes) {
    throw new WeftError(
      "memory_budget_too_small",
      `experts.memoryBytes is ${memoryBytes}; the experts that one token needs at a time ` +
        `(${sized.map(({ chosen, slotBytes }) => `${chosen} of ${slotBytes} bytes`).join(", ")}` +
        `${pinned.length > 0 ? `, and ${pinned.length} pinned` : ""}) take ${leastBytes}: give at ` +
        "least that, or choose a smaller model or quantisation",
    );
  }
  const restBytes = memoryBytes - leastBytes;
  const wanted = sum(({ all, least, slotBytes }) => (all - least) * slotBytes);
  return sized.map(({ layers, parts, chosen, slotBytes, least, all }) => {
    const slots = least + Math.floor(((all - least) * restBytes) / wanted);
    const stacks = new Map(
      [...parts].map(([part, weight]) => [part, stackOf(weight, part, slots)]),
    );
    return { layers, slots, slotBytes, chosen, stacks };
  });
}
