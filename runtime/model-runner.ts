/**
 * A loaded model on a device: weights, KV cache, activations, and the graph over them. Turns the
 * rows of a plan into recorded kernel calls; knows no request, no sampling and no scheduling.
 */
import type { BufferSlice } from "../kernels/kernel.ts";
import { type RopeSpec, ropeTable } from "../kernels/rope-tables.ts";
import { decoderGraph } from "../models/blocks.ts";
import { type DecoderSpec, layerGroups, numStages } from "../models/decoder.ts";
import { emitCalls, type GraphSegment, graphSegments } from "../models/emit-calls.ts";
import type { GraphNode, RowCount, StepSizes } from "../models/graph.ts";
import type { MatmulChoices } from "../models/matmul-choice.ts";
import {
  type ActivationName,
  activationWidths,
  headWidths,
  partialBytes,
} from "../models/tensors.ts";
import type { Weight } from "../models/weights.ts";
import type { SequenceId } from "../scheduler/work-plan.ts";
import type { AdapterPlan } from "./adapters/adapter-plan.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import type { ResidentExperts } from "./experts/resident-experts.ts";
import { createKvCache, type KvPlan } from "./kv-cache.ts";
import { ParkedRows } from "./parked-rows.ts";
import { StepInputs, type StepLimits, type StepRow } from "./step-inputs.ts";

/** Scratch of split decode is kept below this; rows beyond it run as prefill, with the same bits. */
const MAX_PARTIALS_BYTES = 32 * 1024 * 1024;
const TILE_TOKENS = 64;

export interface ModelRunnerOptions {
  readonly device: Device;
  readonly spec: DecoderSpec;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly adapters?: AdapterPlan;
  /** Of a model whose experts come and go. */
  readonly experts?: ResidentExperts;
  readonly kvPlan: KvPlan;
  readonly matmul: MatmulChoices;
  /** Longest sequence, in tokens. */
  readonly maxContext: number;
  readonly maxTokensPerPlan: number;
  readonly maxRows: number;
  /** Rows that may get logits in one step; at least `maxRows`. */
  readonly maxLogitRows: number;
  /** Rows that may wait between two steps for the layers that they lack. */
  readonly maxParkedTokens: number;
}

export class ModelRunner {
  readonly spec: DecoderSpec;
  readonly device: Device;
  readonly logits: BufferSlice;
  readonly lastToken: DeviceBuffer;
  readonly kvPools: readonly BufferSlice[];
  readonly experts: ResidentExperts | undefined;
  readonly #activation: (name: ActivationName) => BufferSlice;
  readonly #inputs: StepInputs;
  readonly nodes: readonly GraphNode[];
  readonly #segments: readonly GraphSegment[];
  readonly #parked: ParkedRows;

  private constructor(
    { device, spec, experts }: ModelRunnerOptions,
    parts: {
      activation: (name: ActivationName) => BufferSlice;
      lastToken: DeviceBuffer;
      kvPools: readonly BufferSlice[];
      inputs: StepInputs;
      nodes: readonly GraphNode[];
      parked: ParkedRows;
    },
  ) {
    this.device = device;
    this.spec = spec;
    this.experts = experts;
    this.#activation = parts.activation;
    this.logits = parts.activation("logits");
    this.lastToken = parts.lastToken;
    this.kvPools = parts.kvPools;
    this.#inputs = parts.inputs;
    this.nodes = parts.nodes;
    this.#segments = graphSegments(parts.nodes);
    this.#parked = parts.parked;
  }

  /** @throws {WeftError} `out_of_memory`, `limit_exceeded`; {KernelError} `bad_shape`. */
  static async create(options: ModelRunnerOptions): Promise<ModelRunner> {
    const { device, spec, weights, kvPlan, maxContext } = options;
    const { maxTokensPerPlan, maxRows, maxLogitRows } = options;
    const groups = layerGroups(spec);
    const tileBytes = partialBytes(spec, kvPlan.blockTokens);
    const limits: StepLimits = {
      maxTokens: maxTokensPerPlan,
      maxRows,
      maxLogitRows,
      blockTokens: kvPlan.blockTokens,
      maxBlocks: Math.ceil(maxContext / kvPlan.blockTokens),
      maxDecodeTiles: Math.min(
        // Every sequence may bring three rows and still decode (attention-work.ts).
        3 * maxRows * Math.ceil(maxContext / TILE_TOKENS),
        Math.floor(Math.min(MAX_PARTIALS_BYTES, device.info.limits.maxBindingBytes) / tileBytes),
      ),
      numStages: numStages(spec),
      hasAdapters: options.adapters !== undefined,
    };
    const inputs = await StepInputs.create(device, limits, groups);
    const activations = new Map<string, BufferSlice>();
    const allocate = async (name: string, sizeBytes: number) =>
      wholeBuffer(await device.createBuffer(name, sizeBytes));
    for (const [name, width] of Object.entries(activationWidths(spec))) {
      if (width === 0) continue;
      activations.set(name, await allocate(name, 4 * width * maxTokensPerPlan));
    }
    for (const [name, width] of Object.entries(headWidths(spec))) {
      activations.set(name, await allocate(name, 4 * width * maxLogitRows));
    }
    const ropeTables = new Map<RopeSpec | undefined, BufferSlice>();
    for (const rope of new Set(spec.layers.map((layer) => layer.rope))) {
      const table = rope ? ropeTable(rope, maxContext) : new Float32Array();
      const slice = await allocate("rope_table", Math.max(16, table.byteLength));
      if (table.length > 0) device.write(slice.buffer as DeviceBuffer, 0, table);
      ropeTables.set(rope, slice);
    }
    const lastToken = await device.createBuffer("last_token", 4 * maxRows);
    const kvPools = await createKvCache(device, kvPlan);
    const partials = await allocate("partials", tileBytes * limits.maxDecodeTiles);
    const expertOf = new Map<number, BufferSlice>();
    for (const [layer, table] of options.adapters?.expertOf ?? []) {
      const slice = await allocate("expert_of", table.byteLength);
      device.write(slice.buffer as DeviceBuffer, 0, table);
      expertOf.set(layer, slice);
    }
    const adapters = options.adapters && {
      count: options.adapters.names.length + 1,
      rows: (rows: RowCount) => inputs.slice(rows === "T" ? "row_adapters" : "sampled_adapters"),
      expertOf: (layer: number) => expertOf.get(layer)!,
    };
    const activation = (name: ActivationName) => activations.get(name)!;
    const nodes = decoderGraph(spec, {
      kvStorage: kvPlan.storage,
      matmul: options.matmul,
      blockTokens: kvPlan.blockTokens,
      maxBlocks: limits.maxBlocks,
      token_ids: inputs.slice("token_ids"),
      sampled_rows: inputs.slice("sampled_rows"),
      last_token: wholeBuffer(lastToken),
      partials,
      ...{ activation, adapters },
      weight: (name) => weights.get(name)!,
      kvPool: (layer) => kvPools[layer],
      expertPool: (layer) => options.experts?.pool(layer),
      ropeTable: (layer) => ropeTables.get(spec.layers[layer].rope)!,
      group: (index) => ({
        tap_slots: inputs.groupSlice("tap_slots", index),
        token_places: inputs.groupSlice("token_places", index),
        block_table: inputs.groupSlice("block_table", index),
        decode_tiles: inputs.groupSlice("decode_tiles", index),
        decode_rows: inputs.groupSlice("decode_rows", index),
        query_tiles: inputs.groupSlice("query_tiles", index),
      }),
    });
    const parked = await ParkedRows.create(device, {
      hidden: activations.get("hidden")!,
      width: spec.hiddenSize,
      maxRows: options.maxParkedTokens,
    });
    return new ModelRunner(options, { activation, lastToken, kvPools, inputs, nodes, parked });
  }

  /** Every pipeline of the graph. */
  get pipelines() {
    return [...this.nodes.flatMap(({ pipelines }) => pipelines), ...this.#parked.pipelines];
  }

  /**
   * Records one step. Logits of the sampled rows land in `logits` [R,V], in row order. The last row
   * may run some stages alone: it joins the others there, and waits in between.
   *
   * All is recorded when it resolves; one step at a time. It waits for nothing, unless experts come and
   * go: then much of the step has been submitted by then.
   * @param logitRows Rows of the step that get logits instead; to look at every position.
   */
  async record(rows: readonly StepRow[], logitRows?: readonly number[]): Promise<void> {
    const { all, withoutLast } = this.#inputs.write(rows, logitRows);
    const { sequenceId: id, stages, tokens } = rows.at(-1)!.planned;
    const end = numStages(this.spec);
    if (stages.from === 0 && stages.to === end) {
      await this.#emit(all, stages.from, stages.to);
      return;
    }
    this.#parked.begin(id, withoutLast.T, tokens.to - tokens.from);
    // Made before anything is waited for: the sequence may be aborted meanwhile.
    const restore = stages.from > 0 ? [this.#parked.restore(id)] : [];
    const park = stages.to < end ? [this.#parked.park(id)] : [];
    if (stages.to === end) this.#parked.drop(id);
    await this.#emit(withoutLast, 0, stages.from);
    this.device.record(restore);
    await this.#emit(all, stages.from, stages.to);
    this.device.record(park);
    await this.#emit(withoutLast, stages.to, end);
  }

  /** The sequence has ended or begins again: nothing of it waits any more. */
  dropParked(id: SequenceId): void {
    this.#parked.drop(id);
  }

  async #emit(step: StepSizes, from: number, to: number): Promise<void> {
    if (step.T === 0) return;
    const stages = { from, to };
    for (const { nodes, fetch } of this.#segments) {
      this.device.record(emitCalls(nodes, step, stages));
      const experts = fetch(stages);
      if (experts) await this.experts!.run(experts, step, this.#activation);
    }
  }
}
