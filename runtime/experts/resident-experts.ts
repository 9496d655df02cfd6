/**
 * Experts under a cap. Each layer's choice is read back, experts that lack are uploaded, and only then is
 * multiplied: a miss waits, and no token ever depends on what was resident. Where the chosen have no room
 * together, their slots are multiplied in lots; each slot is a row of its own, so its bits stay the same.
 *
 * While a layer multiplies, those that the next is likely to choose are brought: a wrong guess costs an
 * upload and nothing else.
 */
import { blockCapacity, groupSlots } from "../../kernels/expert-blocks.ts";
import type { BufferSlice } from "../../kernels/kernel.ts";
import { NO_EXPERT } from "../../kernels/router.ts";
import type { DecoderSpec } from "../../models/decoder.ts";
import type { ExpertFetch, GraphNode } from "../../models/graph.ts";
import type { StepSizes } from "../../models/step-sizes.ts";
import type { ActivationName, ExpertPool as PoolTensors } from "../../models/tensors.ts";
import type { Device, DeviceBuffer } from "../device.ts";
import { formatsOf } from "../placed-weight.ts";
import { RowPacker, type StagedPiece } from "../row-packer.ts";
import { worths } from "./eviction.ts";
import type { ExpertPlan } from "./expert-plan.ts";
import { ExpertPool } from "./expert-pool.ts";
import { type ExpertId, ExpertSlots } from "./expert-slots.ts";
import { type ExpertMetrics, ExpertUsage } from "./expert-usage.ts";
import { KeptPieces } from "./kept-pieces.ts";

interface PooledExperts {
  readonly pool: ExpertPool;
  readonly slots: ExpertSlots;
}

export class ResidentExperts {
  readonly #device: Device;
  readonly #spec: DecoderSpec;
  readonly #packer: RowPacker;
  readonly #close: () => Promise<void>;
  readonly #byLayer: ReadonlyMap<number, PooledExperts>;
  readonly #usage: ExpertUsage;
  /** Of experts that a later layer is likely to need. */
  #ahead: Promise<void> = Promise.resolve();
  #pass = 0;
  #lastLayer = -1;

  private constructor(
    device: Device,
    spec: DecoderSpec,
    packer: RowPacker,
    byLayer: ReadonlyMap<number, PooledExperts>,
    usage: ExpertUsage,
    close: () => Promise<void>,
  ) {
    this.#device = device;
    this.#spec = spec;
    this.#packer = packer;
    this.#byLayer = byLayer;
    this.#usage = usage;
    this.#close = close;
  }

  /**
   * Pools with the pinned experts in them.
   * @param close Of the files that experts are read from for as long as the model is used.
   */
  static async create(
    device: Device,
    spec: DecoderSpec,
    plan: ExpertPlan,
    close: () => Promise<void>,
  ): Promise<ResidentExperts> {
    const { pools, eviction = "decayed", pinned = [], hostBytes = 0 } = plan;
    const packer = await RowPacker.create(device, new Set(formatsOf([...plan.placed.values()])));
    const kept = new KeptPieces<StagedPiece>(hostBytes);
    const byLayer = new Map<number, PooledExperts>();
    for (const { layers, ...poolPlan } of pools) {
      const pool = await ExpertPool.create(device, packer, kept, plan, { ...poolPlan, layers });
      const own = pinned.filter(({ layer }) => layers.includes(layer));
      const sizes = { numSlots: poolPlan.slots, numLayers: spec.layers.length };
      const slots = new ExpertSlots(sizes, worths[eviction](), own);
      for (const layer of layers) byLayer.set(layer, { pool, slots });
    }
    const usage = new ExpertUsage(plan);
    const experts = new ResidentExperts(device, spec, packer, byLayer, usage, close);
    for (const id of pinned) await experts.#bring(id, pinned);
    return experts;
  }

  get metrics(): ExpertMetrics {
    return this.#usage.metrics;
  }

  pool(layer: number): PoolTensors | undefined {
    return this.#byLayer.get(layer)?.pool.tensors;
  }

  async close(): Promise<void> {
    await this.#ahead.catch(() => {});
    this.#packer.close();
    await this.#close();
  }

  /**
   * Submits what was recorded, and records the products of a layer.
   * @param activation Those of the graph that the node is of.
   * @param record Records the calls of its nodes.
   */
  async run(
    { layer, rows, products, hinted, blockRows }: ExpertFetch,
    step: StepSizes,
    activation: (name: ActivationName) => BufferSlice,
    record: (nodes: readonly GraphNode[]) => void,
  ): Promise<void> {
    const T = step[rows];
    if (T === 0) return;
    if (layer <= this.#lastLayer) this.#pass += 1;
    this.#lastLayer = layer;
    const numChosen = T * this.#chosenBy(layer);
    const read = [{ ...activation("expert_ids"), sizeBytes: 4 * numChosen }];
    if (hinted !== undefined) {
      read.push({ ...activation("expert_places"), sizeBytes: 4 * T * this.#chosenBy(hinted) });
    }
    const reading = this.#device.readback(...read);
    this.#device.submit();
    const words = new Uint32Array((await reading).slice().buffer);
    await this.#ahead;
    const chosen = words.slice(0, numChosen);
    const { slots } = this.#byLayer.get(layer)!;
    const ids = idsOf(layer, chosen);
    for (const id of ids) {
      slots.used(id, this.#pass);
      this.#usage.used(id, slots.slotOf(id) !== undefined);
    }
    for (let left = ids; left.length > 0; ) {
      // A lot that follows one reads slots that it may overwrite: it goes to the queue first.
      if (left !== ids) this.#device.submit();
      const lot = this.#lot(left, slots);
      left = left.filter((id) => !lot.includes(id));
      for (const id of lot) if (slots.slotOf(id) === undefined) await this.#bring(id, lot);
      const slotOf = new Map(lot.map((id) => [id.expert, slots.slotOf(id)!]));
      const inSlots = chosen.map((id) => slotOf.get(id) ?? NO_EXPERT);
      this.#place(inSlots, slots.numSlots, blockRows(step), activation);
      record(products);
    }
    if (hinted === undefined) return;
    // The products go to the queue before what overwrites the slots that they read.
    this.#device.submit();
    this.#ahead = this.#bringAhead(idsOf(hinted, words.subarray(numChosen)));
    // Whoever waits for it next sees its failure.
    this.#ahead.catch(() => {});
  }

  #chosenBy(layer: number): number {
    return this.#spec.layers[layer].moe!.router.chosen;
  }

  /** As far as there is room for them beside each other. */
  async #bringAhead(ids: readonly ExpertId[]): Promise<void> {
    if (ids.length === 0) return;
    const { slots } = this.#byLayer.get(ids[0].layer)!;
    const lot = this.#lot(ids, slots);
    for (const id of lot) {
      if (slots.slotOf(id) !== undefined) continue;
      await this.#bring(id, lot);
      this.#usage.broughtAhead();
    }
  }

  /** As many as have room together, those that are there before those that lack. */
  #lot(ids: readonly ExpertId[], slots: ExpertSlots): ExpertId[] {
    const isThere = (id: ExpertId) => slots.slotOf(id) !== undefined;
    const inOrder = [...ids.filter(isThere), ...ids.filter((id) => !isThere(id))];
    return inOrder.slice(0, slots.room(inOrder));
  }

  async #bring(id: ExpertId, kept: readonly ExpertId[]): Promise<void> {
    const { pool, slots } = this.#byLayer.get(id.layer)!;
    await pool.bring(id, slots.take(id, kept, this.#pass));
    this.#usage.uploaded(pool.plan.slotBytes);
  }

  /** What the kernels of either way read: the slot of each row, or blocks of rows of a slot. */
  #place(
    inSlots: Uint32Array,
    numSlots: number,
    blockRows: number,
    activation: (name: ActivationName) => BufferSlice,
  ): void {
    const write = (name: ActivationName, words: Uint32Array) => {
      const { buffer, offsetBytes } = activation(name);
      this.#device.write(buffer as DeviceBuffer, offsetBytes, words);
    };
    if (blockRows === 1) {
      write("expert_ids", inSlots);
      return;
    }
    const numBlocks = blockCapacity(inSlots.length, numSlots, blockRows);
    const places = new Uint32Array(numBlocks * blockRows);
    const blocks = new Uint32Array(2 * numBlocks);
    groupSlots(inSlots, numSlots, blockRows, { places, blocks });
    write("expert_places", places);
    write("expert_blocks", blocks);
  }
}

/** Each once, by rising number. */
const idsOf = (layer: number, chosen: Uint32Array): ExpertId[] =>
  [...new Set(chosen)]
    .filter((id) => id !== NO_EXPERT)
    .sort((a, b) => a - b)
    .map((expert) => ({ layer, expert }));
