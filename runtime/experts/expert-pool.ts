/**
 * The memory that the experts of some layers share, slot by slot: reads an expert from the model's files
 * and packs it into a slot, as loading would have packed it into its layer.
 */
import type { BufferSlice } from "../../kernels/kernel.ts";
import type { ExpertPool as PoolTensors } from "../../models/tensors.ts";
import { layerWeight, type WeightShard } from "../../models/weights.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "../device.ts";
import { allocateShards } from "../load-weights.ts";
import type { PlacedWeight } from "../placed-weight.ts";
import { type RowPacker, type StagedPiece, stagedPieces } from "../row-packer.ts";
import { inOrder } from "../weights/row-order.ts";
import { readFloat32 } from "../weights/stream.ts";
import type { ExpertPart, ExpertPlan, ExpertPoolPlan } from "./expert-plan.ts";
import type { ExpertId } from "./expert-slots.ts";
import { expertOf } from "./expert-tensors.ts";
import type { KeptPieces } from "./kept-pieces.ts";

interface SlotStack {
  readonly part: ExpertPart;
  /** Rows of a matrix, or bytes of a vector. */
  readonly unit: number;
  readonly shards: readonly WeightShard[];
}

export class ExpertPool {
  readonly plan: ExpertPoolPlan;
  readonly #device: Device;
  readonly #packer: RowPacker;
  readonly #kept: KeptPieces<StagedPiece>;
  readonly #placed: ReadonlyMap<string, PlacedWeight>;
  readonly #stacks: readonly SlotStack[];

  private constructor(
    device: Device,
    packer: RowPacker,
    kept: KeptPieces<StagedPiece>,
    placed: ReadonlyMap<string, PlacedWeight>,
    plan: ExpertPoolPlan,
    stacks: readonly SlotStack[],
  ) {
    this.#device = device;
    this.#packer = packer;
    this.#kept = kept;
    this.#placed = placed;
    this.plan = plan;
    this.#stacks = stacks;
  }

  /** @throws {WeftError} `out_of_memory`, `limit_exceeded`. */
  static async create(
    device: Device,
    packer: RowPacker,
    kept: KeptPieces<StagedPiece>,
    { placed }: ExpertPlan,
    plan: ExpertPoolPlan,
  ): Promise<ExpertPool> {
    const stacks: SlotStack[] = [];
    for (const [part, weight] of plan.stacks) {
      const { spec, runs } = weight;
      const shards = spec.vector
        ? [await vectorShard(device, weight)]
        : await allocateShards(device, weight, runs[0]);
      const unit = (spec.vector ? runs[0].sizeBytes : spec.rows) / spec.stacked;
      stacks.push({ part, unit, shards });
    }
    return new ExpertPool(device, packer, kept, placed, plan, stacks);
  }

  get tensors(): PoolTensors {
    const weight = (part: ExpertPart) => {
      const { rows, columns } = this.plan.stacks.get(part)!.spec;
      return { rows, columns, shards: this.#shards(part)! };
    };
    const bias = (part: ExpertPart): BufferSlice | undefined => this.#shards(part)?.[0].slice;
    const gateUp = bias("experts_gate_up_bias");
    const down = bias("experts_down_bias");
    return {
      slots: this.plan.slots,
      gateUp: weight("experts_gate_up"),
      down: weight("experts_down"),
      ...(gateUp && down && { biases: { gateUp, down } }),
    };
  }

  /** Takes effect before the next submission; what was submitted still sees what the slot held. */
  async bring({ layer, expert }: ExpertId, slot: number): Promise<void> {
    for (const { part, unit, shards } of this.#stacks) {
      const own = expertOf(this.#placed.get(layerWeight(layer, part))!, expert);
      if (own.spec.vector) {
        const [tensor] = own.runs[0].tensors;
        const values = inOrder(await readFloat32(tensor), tensor.rowOrder);
        this.#device.write(shards[0].slice.buffer as DeviceBuffer, slot * unit, values);
        continue;
      }
      const shard = shards.findLast(({ firstRow }) => firstRow <= slot * unit)!;
      const shardRow = slot * unit - shard.firstRow;
      const pieces = this.#kept.pieces(own.spec.name, () => stagedPieces(own, own.runs[0]));
      await this.#packer.pack(pieces, [{ shard, matrixRow: 0, shardRow, rows: unit }]);
    }
  }

  #shards(wanted: ExpertPart): readonly WeightShard[] | undefined {
    return this.#stacks.find(({ part }) => part === wanted)?.shards;
  }
}

async function vectorShard(device: Device, { spec, runs }: PlacedWeight): Promise<WeightShard> {
  const [{ sizeBytes, format }] = runs;
  const slice = wholeBuffer(await device.createBuffer(spec.name, sizeBytes));
  return { slice, format, firstRow: 0, rows: 1 };
}
