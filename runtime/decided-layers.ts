/**
 * Layers of a step of which the device decides whether they run: a prompt's, by routers, and those that
 * tokens of answers may leave off before. Owns what each needs, and what the host reads of it.
 */
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import type { DecoderSpec } from "../models/decoder.ts";
import { emitCalls } from "../models/emit-calls.ts";
import type { GraphNode } from "../models/graph.ts";
import type { StepSizes } from "../models/step-sizes.ts";
import type { ActivationName } from "../models/tensors.ts";
import type { Weight } from "../models/weights.ts";
import type { PlannedRow, SequenceId } from "../scheduler/work-plan.ts";
import type { Device } from "./device.ts";
import { exitSegments } from "./exit-segments.ts";
import type { ExitingRows } from "./exiting-rows.ts";
import type { RoutedLayers } from "./routed-layers.ts";

/** Of one step. */
export interface StepDecisions {
  /** What routers have decided, by layer. */
  readonly layers?: Uint32Array;
  /** Layers that ran of rows that could leave off; 0 for all of them. */
  readonly ran?: ReadonlyMap<SequenceId, number>;
}

export interface DecidedLayersOptions {
  readonly device: Device;
  readonly spec: DecoderSpec;
  readonly weights: ReadonlyMap<string, Weight>;
  readonly nodes: readonly GraphNode[];
  readonly activation: (name: ActivationName) => BufferSlice;
  readonly maxRows: number;
  readonly isRouted: boolean;
}

type Place = (call: KernelCall) => KernelCall;

export class DecidedLayers {
  readonly #options: DecidedLayersOptions;
  readonly #routed: RoutedLayers | undefined;
  #exiting: ExitingRows | undefined;
  /** Of the last step. */
  #decides = { routed: false, exits: false };

  private constructor(options: DecidedLayersOptions, routed: RoutedLayers | undefined) {
    this.#options = options;
    this.#routed = routed;
  }

  static async create(options: DecidedLayersOptions): Promise<DecidedLayers> {
    const { device, spec, weights, nodes, isRouted } = options;
    if (!isRouted) return new DecidedLayers(options, undefined);
    // Few models have routers of layers: their code is loaded with the first.
    const { RoutedLayers } = await import("./routed-layers.ts");
    const routed = await RoutedLayers.create(device, spec, weights, nodes.length);
    return new DecidedLayers(options, routed);
  }

  get pipelines() {
    return this.#routed?.pipelines ?? [];
  }

  begin(): void {
    this.#decides = { routed: false, exits: false };
  }

  /** Each layer's first run and its usual one, for one packed row: the device runs what it decides. */
  routed(step: StepSizes, place: Place): void {
    const { nodes, spec, activation } = this.#options;
    this.#decides.routed = true;
    const calls = (from: number, to: number) =>
      emitCalls(nodes, step, { from, to, lastMlp: "T" }).map(place);
    const layers = spec.layers.map((_, layer) => {
      const first = 1 + 4 * layer;
      return { extra: calls(first, first + 2), main: calls(first + 2, first + 4) };
    });
    const hidden = activation("packed");
    const T = hidden.sizeBytes / (4 * spec.hiddenSize);
    this.#routed!.record(layers, { hidden, T, n: step.T });
  }

  /**
   * Layers that rows of one plan may leave off before, a token each.
   * @param place Where the rows are packed; without, they are the whole step, and the head goes along.
   */
  async exiting(planned: readonly PlannedRow[], step: StepSizes, place?: Place): Promise<void> {
    const { nodes, activation } = this.#options;
    this.#exiting ??= await this.#openExiting();
    if (!this.#decides.exits) this.#exiting.begin();
    this.#decides.exits = true;
    const layerPlan = planned[0].layerPlan!;
    const sizes = { ...step, R: step.T };
    const segments = exitSegments(nodes, layerPlan, sizes, place ?? ((call) => call));
    this.#exiting.record({
      exits: layerPlan.exits!,
      sequenceIds: planned.map(({ sequenceId }) => sequenceId),
      ...{ hidden: activation(place ? "packed" : "hidden"), logits: activation("logits") },
      ...{ segments, last: place ? [] : segments[0].ask },
    });
  }

  /** Of the last step; undefined where nothing was left to the device. To be asked before the next step. */
  decided(): Promise<StepDecisions> | undefined {
    const { routed, exits } = this.#decides;
    if (!routed && !exits) return undefined;
    const layers = routed
      ? this.#options.device.readback(this.#routed!.decisions)
      : Promise.resolve(undefined);
    const left = exits ? this.#exiting!.left() : undefined;
    return Promise.all([layers, left]).then(([bytes, ran]) => ({
      ...(bytes && { layers: new Uint32Array(bytes.slice().buffer) }),
      ...(ran && { ran }),
    }));
  }

  /** Few requests leave off: what that takes is loaded, and built, with the first. */
  async #openExiting(): Promise<ExitingRows> {
    const { ExitingRows } = await import("./exiting-rows.ts");
    const { device, spec, nodes, maxRows } = this.#options;
    const { hiddenSize, vocabSize, layers } = spec;
    // Behind each layer rows are put back, and before each exit the head is asked.
    const headCalls = nodes.filter(({ stage }) => stage === nodes.at(-1)!.stage).length;
    const maxCalls = nodes.length + layers.length * (headCalls + 2);
    const maxExits = layers.length;
    return ExitingRows.create(device, { hiddenSize, vocabSize, maxRows, maxExits, maxCalls });
  }
}
