/**
 * A loaded model on a device: weights, KV cache, activations, and the graph over them. Turns the
 * rows of a plan into recorded kernel calls; knows no request, no sampling and no scheduling.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { rmsNorm } from "../kernels/rms-norm.ts";
import { type RopeSpec, ropeTable } from "../kernels/rope-tables.ts";
import { blockKinds } from "../models/block-kinds.ts";
import { decoderGraph } from "../models/blocks.ts";
import { type DecoderSpec, layerGroups, numStages } from "../models/decoder.ts";
import {
  emitCalls,
  type GraphSegment,
  graphSegments,
  type StageSelection,
} from "../models/emit-calls.ts";
import type { GraphNode } from "../models/graph.ts";
import type { RowCount, StepSizes } from "../models/step-sizes.ts";
import {
  type ActivationName,
  activationWidths,
  type DecoderTensors,
  headWidths,
  partialBytes,
} from "../models/tensors.ts";
import type { SequenceId } from "../scheduler/work-plan.ts";
import { DecidedLayers, type StepDecisions } from "./decided-layers.ts";
import { type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";
import type { ResidentExperts } from "./experts/resident-experts.ts";
import { createKvCache } from "./kv-cache.ts";
import type { ModelRunnerOptions, RecordOptions } from "./model-runner-options.ts";
import { ParkedRows } from "./parked-rows.ts";
import { RowPacks } from "./row-packs.ts";
import { isFirst, isWhole, type StageRun, stageRuns } from "./stage-runs.ts";
import { MAX_PACKS, StepInputs, type StepRow } from "./step-inputs.ts";
import type { StepLimits } from "./step-limits.ts";
import { StepSubmissions } from "./step-submissions.ts";

/** Scratch of split decode is kept below this; rows beyond it run as prefill, with the same bits. */
const MAX_PARTIALS_BYTES = 32 * 1024 * 1024;
const TILE_TOKENS = 64;

export class ModelRunner {
  readonly spec: DecoderSpec;
  readonly device: Device;
  readonly logits: BufferSlice;
  /** The residual stream [T,D] of the latest step; without the last MLP, unless it was asked for. */
  readonly hidden: BufferSlice;
  /** What `hidden` is by the final norm [T,D]: of a step that needs it, recorded behind the step. */
  readonly finalNorm: Pick<KernelCall, "kernel" | "buffers"> & { readonly eps: number };
  readonly lastToken: DeviceBuffer;
  readonly kvPools: readonly BufferSlice[];
  readonly experts: ResidentExperts | undefined;
  readonly #activation: (name: ActivationName) => BufferSlice;
  readonly #inputs: StepInputs;
  readonly nodes: readonly GraphNode[];
  readonly #segments: readonly GraphSegment[];
  readonly #parked: ParkedRows;
  readonly #packs: RowPacks;
  readonly #decided: DecidedLayers;
  /** Of the latest step. */
  readonly submissions: StepSubmissions;
  #order: readonly number[] = [];

  private constructor(
    { device, spec, experts, weights }: ModelRunnerOptions,
    parts: {
      activation: (name: ActivationName) => BufferSlice;
      lastToken: DeviceBuffer;
      kvPools: readonly BufferSlice[];
      inputs: StepInputs;
      nodes: readonly GraphNode[];
      parked: ParkedRows;
      packs: RowPacks;
      decided: DecidedLayers;
    },
  ) {
    this.device = device;
    this.spec = spec;
    this.experts = experts;
    this.#activation = parts.activation;
    this.logits = parts.activation("logits");
    this.hidden = parts.activation("hidden");
    const weight = weights.get("final_norm")!.shards[0].slice;
    this.finalNorm = {
      kernel: rmsNorm,
      buffers: { x: this.hidden, weight, out: parts.activation("normed") },
      eps: spec.normEps,
    };
    this.lastToken = parts.lastToken;
    this.kvPools = parts.kvPools;
    this.#inputs = parts.inputs;
    this.nodes = parts.nodes;
    this.#segments = graphSegments(parts.nodes);
    this.#parked = parts.parked;
    this.#packs = parts.packs;
    this.#decided = parts.decided;
    this.submissions = new StepSubmissions(device, wholeBuffer(parts.lastToken));
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
    const { maxDraftTokens } = options;
    const lastToken = await device.createBuffer("last_token", 4 * maxRows * (1 + maxDraftTokens));
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
      rows: (rows: RowCount) =>
        rows === "T" ? inputs.home.rowAdapters : inputs.slice("sampled_adapters"),
      expertOf: (layer: number) => expertOf.get(layer)!,
    };
    const activation = (name: ActivationName) => activations.get(name)!;
    const tensors: DecoderTensors = {
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
        tap_slots: inputs.home.groupSlice("tap_slots", index),
        token_places: inputs.home.groupSlice("token_places", index),
        block_table: inputs.blockTable(index),
        decode_tiles: inputs.home.groupSlice("decode_tiles", index),
        decode_rows: inputs.home.groupSlice("decode_rows", index),
        query_tiles: inputs.home.groupSlice("query_tiles", index),
      }),
    };
    const nodes = decoderGraph(spec, tensors, await blockKinds(spec));
    const parked = await ParkedRows.create(device, {
      hidden: activations.get("hidden")!,
      width: spec.hiddenSize,
      maxRows: options.maxParkedTokens,
    });
    const packs = new RowPacks(inputs, {
      ...{ hidden: activation("hidden"), packed: activation("packed") },
      ...{ width: spec.hiddenSize, maxTokens: maxTokensPerPlan },
    });
    const { isRouted } = options;
    const sources = { device, spec, weights, nodes, activation, maxRows, isRouted };
    const decided = await DecidedLayers.create(sources);
    const parts = { activation, lastToken, kvPools, inputs, nodes, parked, packs, decided };
    return new ModelRunner(options, parts);
  }

  /** Every pipeline of the graph. */
  get pipelines() {
    return [
      ...this.nodes.flatMap(({ pipelines }) => pipelines),
      ...this.#packs.pipelines,
      ...this.#decided.pipelines,
    ];
  }

  /**
   * Records one step. Logits of the sampled rows land in `logits` [R,V], in row order. Each row runs the
   * stages of its layer plan. One row may run some stages alone, and waits for the others: it is the last.
   *
   * All is recorded when it resolves; one step at a time. It waits for nothing, unless experts come and
   * go: then much of the step has been submitted by then.
   */
  async record(
    rows: readonly StepRow[],
    { logitRows, submissions = [], needsHidden }: RecordOptions = {},
  ): Promise<void> {
    const end = numStages(this.spec);
    const staged = rows.map(({ planned: { stages, layerPlan, sample } }) => {
      return { stages, layerPlan, isSampled: sample || logitRows !== undefined };
    });
    const { order, runs, splitsLastMlp } = stageRuns(staged, end, needsHidden);
    this.#order = order;
    const all = this.#inputs.write(rows, order, logitRows);
    const { sequenceId: id, stages, tokens } = rows.at(-1)!.planned;
    const isCut = stages.from > 0 || stages.to < end;
    if (isCut) {
      const firstRow = this.hiddenRow(rows.length - 1);
      this.#parked.begin(id, firstRow, tokens.to - tokens.from);
    }
    // Made before anything is waited for: the sequence may be aborted meanwhile.
    const park = isCut && stages.to < end ? [this.#parked.park(id)] : [];
    if (isCut && stages.from > 0) this.device.record([this.#parked.restore(id)]);
    if (isCut && stages.to === end) this.#parked.drop(id);
    let numPacks = 0;
    const ordered = order.map((row) => rows[row].planned);
    this.#decided.begin();
    // Where all rows may leave off, the head runs if one stays.
    const last = runs.at(-2);
    const isAlone = last?.exits !== undefined && isWhole(last, rows) && all.R === rows.length;
    this.submissions.begin(submissions);
    const isPacked = (run: StageRun) => !isFirst(run) || run.isRouted || run.exits !== undefined;
    for (const run of this.submissions.cut(isAlone ? runs.slice(0, -1) : runs, isPacked)) {
      await this.submissions.before(run);
      const selection = { ...run, lastMlp: splitsLastMlp ? "T" : "R" } as const;
      if (run.exits && isAlone) {
        await this.#decided.exiting(ordered, all);
        continue;
      }
      if (!isPacked(run)) {
        const { length } = run.rows;
        const isAll = length === rows.length;
        const sizes = isAll ? all : this.#inputs.sizesOfFirst(length, all.R);
        await this.#emit(sizes, selection);
        continue;
      }
      // What an earlier pack reads goes to the queue before its place is written again.
      if (numPacks > 0 && numPacks % MAX_PACKS === 0) this.device.submit();
      const pack = numPacks++ % MAX_PACKS;
      const sizes = this.#inputs.pack(pack, run.rows, all.R);
      this.device.record([this.#packs.gather(pack, sizes.T)]);
      const place = (call: KernelCall) => this.#packs.place(pack, call);
      if (run.isRouted) this.#decided.routed(sizes, place);
      else if (run.exits) {
        const planned = run.rows.map((row) => ordered[row]);
        await this.#decided.exiting(planned, sizes, place);
      } else await this.#emit(sizes, selection, place);
      if (!run.keysOnly) this.device.record([this.#packs.scatter(pack, sizes.T)]);
    }
    this.device.record(park);
  }

  /** Of the last step's rows, by index: which of `hidden` is its first token. */
  hiddenRow(row: number): number {
    return this.#inputs.firstRow(this.#order.indexOf(row));
  }

  /** Of the last step; undefined where nothing was left to the device. To be asked before the next step. */
  decided(): Promise<StepDecisions> | undefined {
    return this.#decided.decided();
  }

  /** The sequence has ended or begins again: nothing of it waits any more. */
  dropParked(id: SequenceId): void {
    this.#parked.drop(id);
  }

  async #emit(
    step: StepSizes,
    selection: StageSelection,
    place?: (call: KernelCall) => KernelCall,
  ): Promise<void> {
    const record = (nodes: readonly GraphNode[]) => {
      const calls = emitCalls(nodes, step, selection);
      this.device.record(place ? calls.map(place) : calls);
    };
    for (const { nodes, fetch } of this.#segments) {
      record(nodes);
      const experts = fetch(selection);
      if (experts) await this.experts!.run(experts, step, this.#activation, record);
    }
  }
}
