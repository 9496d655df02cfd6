/**
 * How long a plan takes on the GPU: from bytes and arithmetic, corrected by what plans like it took.
 * Knows no sequences; whoever runs plans tells it what they took.
 */

/** What a plan's time depends on. */
export interface PlanWork {
  /** Over all rows. */
  readonly numTokens: number;
  /** Σ over rows of the row's end: tokens whose keys and values are read at least once. */
  readonly numKvTokens: number;
  /**
   * Σ over tokens of the tokens each attends to, itself included (windows are not subtracted):
   * decoding at position p adds p + 1.
   */
  readonly numAttended: number;
}

export const NO_WORK: PlanWork = { numTokens: 0, numKvTokens: 0, numAttended: 0 };

export const addWork = (a: PlanWork, b: PlanWork): PlanWork => ({
  numTokens: a.numTokens + b.numTokens,
  numKvTokens: a.numKvTokens + b.numKvTokens,
  numAttended: a.numAttended + b.numAttended,
});

export interface CostModel {
  /** Milliseconds, through all layers. Must not fall when a number grows, but for what is learnt. */
  predictMs(work: PlanWork): number;
  /** A plan of that work took so long. */
  observe?(work: PlanWork, gpuMs: number): void;
  /** To copy the keys and values of so many tokens to the host, or back; none where that is no choice. */
  copyMs?(numTokens: number): number | undefined;
  /** Of the milliseconds, those of any plan, however few layers it runs. Default 0. */
  readonly overheadMs?: number;
  /** Of a layer's time, that of its MLP. Default a half. */
  readonly mlpShare?: number;
}

/** What a plan does in a share of the layers, 0 to 1. */
export interface PlanPart {
  readonly work: PlanWork;
  readonly share: number;
}

/** A plan whose rows do not all run all layers. */
export function partsMs(costs: CostModel, parts: readonly PlanPart[]): number {
  if (parts.length === 1 && parts[0].share === 1) return costs.predictMs(parts[0].work);
  const { overheadMs = 0 } = costs;
  return parts.reduce(
    (sum, { work, share }) => sum + share * (costs.predictMs(work) - overheadMs),
    overheadMs,
  );
}

/** Each part took longer, or shorter, than predicted by as much as the plan did. */
export function observeParts(costs: CostModel, parts: readonly PlanPart[], gpuMs: number): void {
  const factor = gpuMs / partsMs(costs, parts);
  const observed = parts.map(({ work, share }) => ({
    work,
    gpuMs: share === 1 ? gpuMs : factor * costs.predictMs(work),
  }));
  for (const { work, gpuMs } of observed) costs.observe?.(work, gpuMs);
}

/** A model on a device, as far as its speed goes. */
export interface RooflineProfile {
  readonly bytesPerSecond: number;
  readonly flopsPerSecond: number;
  /** Per plan, whatever it holds: submission and dispatches. */
  readonly overheadMs: number;
  /** Read once per plan. */
  readonly weightBytes: number;
  /** Keys and values of one token, over all layers. */
  readonly kvBytesPerToken: number;
  /** Of the weights: two per parameter. */
  readonly flopsPerToken: number;
  /** Of attention, over all layers: 4 · query heads · head size · layers. */
  readonly flopsPerAttended: number;
  /** Of a layer's time, that of its MLP. Default a half. */
  readonly mlpShare?: number;
  /** Between the KV cache and the host's memory. Default: nothing is copied there. */
  readonly hostBytesPerSecond?: number;
}

/**
 * A slow integrated GPU. The first plan that is measured corrects it, on any device; too slow, it
 * makes that plan a small one, while too fast would make it stall a page.
 */
export const UNKNOWN_DEVICE = {
  ...{ bytesPerSecond: 10e9, flopsPerSecond: 100e9, overheadMs: 1 },
  /** Through a browser's process border; not learnt, so rather too slow. */
  hostBytesPerSecond: 1e9,
};

/** max(bytes/BW, FLOPs/P) and the overhead, in milliseconds. */
export function rooflineMs(profile: RooflineProfile, work: PlanWork): number {
  const { weightBytes, kvBytesPerToken, flopsPerToken, flopsPerAttended } = profile;
  const bytes = weightBytes + kvBytesPerToken * work.numKvTokens;
  const flops = flopsPerToken * work.numTokens + flopsPerAttended * work.numAttended;
  const seconds = Math.max(bytes / profile.bytesPerSecond, flops / profile.flopsPerSecond);
  return profile.overheadMs + 1000 * seconds;
}

/** Of what is learnt, the newest observation's share. */
const SHARE_OF_NEWEST = 0.2;
/** Powers of two of tokens, and of four of KV tokens: plans in one cell have one correction. */
const TOKEN_CELLS = 16;
const KV_CELLS = 12;

/**
 * The roofline times a factor per cell of (tokens, KV tokens), each an exponentially weighted mean of
 * measured over predicted. A cell without a measurement borrows from the nearest that has one; the
 * first of all is taken as it is, so a profile may be wrong by any factor: rather too slow than too
 * fast, so that the first plan is small.
 */
export class LearnedCosts implements CostModel {
  readonly #profile: RooflineProfile;
  readonly #factors = new Float64Array(TOKEN_CELLS * KV_CELLS);
  /** Cell to the cell that it borrows from; itself when it was measured. */
  readonly #nearest = new Int32Array(TOKEN_CELLS * KV_CELLS).fill(-1);

  constructor(profile: RooflineProfile) {
    this.#profile = profile;
  }

  get mlpShare(): number | undefined {
    return this.#profile.mlpShare;
  }

  copyMs(numTokens: number): number | undefined {
    const { kvBytesPerToken, hostBytesPerSecond } = this.#profile;
    return hostBytesPerSecond && (1000 * kvBytesPerToken * numTokens) / hostBytesPerSecond;
  }

  predictMs(work: PlanWork): number {
    const source = this.#nearest[cellOf(work)];
    return rooflineMs(this.#profile, work) * (source < 0 ? 1 : this.#factors[source]);
  }

  observe(work: PlanWork, gpuMs: number): void {
    const cell = cellOf(work);
    const factor = gpuMs / rooflineMs(this.#profile, work);
    if (this.#nearest[cell] !== cell) {
      this.#factors[cell] = factor;
      this.#lend(cell);
    } else {
      this.#factors[cell] += SHARE_OF_NEWEST * (factor - this.#factors[cell]);
    }
  }

  /** A new cell serves all that are nearer to it than to those known before. */
  #lend(cell: number): void {
    for (let other = 0; other < this.#nearest.length; other++) {
      const source = this.#nearest[other];
      if (source < 0 || distance(other, cell) < distance(other, source))
        this.#nearest[other] = cell;
    }
  }
}

function cellOf({ numTokens, numKvTokens }: PlanWork): number {
  const token = Math.min(TOKEN_CELLS - 1, 31 - Math.clz32(Math.max(1, numTokens)));
  const kv = Math.min(KV_CELLS - 1, (31 - Math.clz32(Math.max(1, numKvTokens))) >> 1);
  return token * KV_CELLS + kv;
}

/** The number of tokens tells more than the length of their context. */
function distance(a: number, b: number): number {
  const tokens = Math.floor(a / KV_CELLS) - Math.floor(b / KV_CELLS);
  const kv = (a % KV_CELLS) - (b % KV_CELLS);
  return 2 * Math.abs(tokens) + Math.abs(kv);
}
