/** Which experts were asked for, how often they were there, and what bringing the others took. */
import type { ExpertPlan } from "./expert-plan.ts";
import type { ExpertId } from "./expert-slots.ts";

/** Plain data, since the engine was created. */
export interface ExpertMetrics {
  /** Experts that have room on the GPU at once, and the bytes that they take there. */
  readonly slots: number;
  readonly poolBytes: number;
  /** Experts that a layer of a step needed, each counted once, however many tokens chose it. */
  readonly needed: number;
  /** Share of them that were there, 0 to 1; 0 before the first. */
  readonly hitRate: number;
  /** Uploads, those of pinned experts included. */
  readonly uploads: number;
  /** Of these, on a guess and before they were needed, if they were. */
  readonly uploadsAhead: number;
  readonly uploadedBytes: number;
  /** By how often they were needed: for `experts.pinned` of the next engine. */
  readonly hottest: readonly (ExpertId & { readonly uses: number })[];
}

export class ExpertUsage {
  readonly #plan: ExpertPlan;
  readonly #uses = new Map<string, { id: ExpertId; uses: number }>();
  #needed = 0;
  #hits = 0;
  #uploads = 0;
  #uploadsAhead = 0;
  #uploadedBytes = 0;

  constructor(plan: ExpertPlan) {
    this.#plan = plan;
  }

  used(id: ExpertId, wasThere: boolean): void {
    const key = `${id.layer}/${id.expert}`;
    const uses = (this.#uses.get(key)?.uses ?? 0) + 1;
    this.#uses.set(key, { id, uses });
    this.#needed += 1;
    if (wasThere) this.#hits += 1;
  }

  uploaded(bytes: number): void {
    this.#uploads += 1;
    this.#uploadedBytes += bytes;
  }

  broughtAhead(): void {
    this.#uploadsAhead += 1;
  }

  get metrics(): ExpertMetrics {
    const { pools, poolBytes } = this.#plan;
    return {
      slots: pools.reduce((sum, { slots }) => sum + slots, 0),
      poolBytes,
      needed: this.#needed,
      hitRate: this.#hits / Math.max(1, this.#needed),
      uploads: this.#uploads,
      uploadsAhead: this.#uploadsAhead,
      uploadedBytes: this.#uploadedBytes,
      hottest: [...this.#uses.values()]
        .sort((a, b) => b.uses - a.uses)
        .map(({ id, uses }) => ({ ...id, uses })),
    };
  }
}
