/**
 * `slotOf[layer][expert]`: which expert lies in which slot of a pool, and which makes room for another.
 * Owns the table; uploads nothing.
 */
import type { Worth } from "./eviction.ts";

export interface ExpertId {
  readonly layer: number;
  readonly expert: number;
}

export class ExpertSlots {
  readonly #worth: Worth;
  readonly #numLayers: number;
  readonly #pinned: ReadonlySet<number>;
  readonly #slotOf = new Map<number, number>();
  readonly #free: number[];

  /**
   * @param numLayers Of the model: what runs next decides between experts of equal worth.
   * @param pinned Keep their slots once they have them.
   */
  constructor(
    { numSlots, numLayers }: { readonly numSlots: number; readonly numLayers: number },
    worth: Worth,
    pinned: readonly ExpertId[] = [],
  ) {
    this.#worth = worth;
    this.#numLayers = numLayers;
    this.#pinned = new Set(pinned.map(keyOf));
    this.#free = Array.from({ length: numSlots }, (_, slot) => numSlots - 1 - slot);
  }

  get numSlots(): number {
    return this.#free.length + this.#slotOf.size;
  }

  slotOf(id: ExpertId): number | undefined {
    return this.#slotOf.get(keyOf(id));
  }

  used(id: ExpertId, pass: number): void {
    this.#worth.used(keyOf(id), pass);
  }

  /** How many experts can have slots together with the pinned ones, those of the list counted once. */
  room(ids: readonly ExpertId[]): number {
    const own = ids.filter((id) => this.#pinned.has(keyOf(id))).length;
    return this.numSlots - this.#pinned.size + own;
  }

  /**
   * A slot for an expert that has none.
   * @param kept Are needed at the same time; there is room for all of them.
   */
  take(id: ExpertId, kept: readonly ExpertId[], pass: number): number {
    const slot = this.#free.pop() ?? this.#evict(id.layer, new Set(kept.map(keyOf)), pass);
    this.#slotOf.set(keyOf(id), slot);
    return slot;
  }

  /** Layers run in turn, so of equals the one goes whose layer is the longest way ahead. */
  #evict(layer: number, kept: ReadonlySet<number>, pass: number): number {
    let worst: { key: number; slot: number; worth: number; ahead: number } | undefined;
    for (const [key, slot] of this.#slotOf) {
      if (kept.has(key) || this.#pinned.has(key)) continue;
      const worth = this.#worth.of(key, pass);
      const ahead = (layerOf(key) - layer + this.#numLayers) % this.#numLayers;
      const isWorse =
        worst === undefined ||
        worth < worst.worth ||
        (worth === worst.worth && ahead > worst.ahead);
      if (isWorse) worst = { key, slot, worth, ahead };
    }
    if (worst === undefined) throw new Error("every expert in a slot is needed or pinned");
    this.#slotOf.delete(worst.key);
    return worst.slot;
  }
}

/** Experts per layer stay below this (kernels/route.ts). */
const LAYER_KEYS = 1024;
const keyOf = ({ layer, expert }: ExpertId): number => layer * LAYER_KEYS + expert;
const layerOf = (key: number): number => Math.floor(key / LAYER_KEYS);
