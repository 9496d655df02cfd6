/**
 * Runs a prompt through layers that its routers skip, run or run twice. All of it is recorded at once:
 * what a router decides on the GPU makes grids of workgroups empty or not, and the host reads the
 * decisions with the step's tokens.
 */
import { gateDispatches } from "../kernels/gate-dispatches.ts";
import type { BufferSlice, KernelCall } from "../kernels/kernel.ts";
import { LAYER_DECISIONS, layerRouter } from "../kernels/layer-router.ts";
import { MAX_WINDOWS, windowMeans } from "../kernels/window-means.ts";
import type { DecoderSpec } from "../models/decoder.ts";
import { decideLayer, type LayerRouterBuffers } from "../models/layer-routers.ts";
import type { Weight } from "../models/weights.ts";
import { alignUp, type Device, type DeviceBuffer, wholeBuffer } from "./device.ts";

const GRID_BYTES = 16;
const COUNT_BYTES = 12;

/** Calls of a layer's two runs, on the rows at hand. */
export interface LayerRuns {
  /** Only where it runs twice. */
  readonly extra: readonly KernelCall[];
  readonly main: readonly KernelCall[];
}

export class RoutedLayers {
  readonly #device: Device;
  readonly #spec: DecoderSpec;
  readonly #router: LayerRouterBuffers;
  readonly #grids: BufferSlice;
  readonly #counts: BufferSlice;

  private constructor(
    device: Device,
    spec: DecoderSpec,
    router: LayerRouterBuffers,
    grids: BufferSlice,
    counts: BufferSlice,
  ) {
    this.#device = device;
    this.#spec = spec;
    this.#router = router;
    this.#grids = grids;
    this.#counts = counts;
  }

  /** @param maxCalls Of a step. */
  static async create(
    device: Device,
    spec: DecoderSpec,
    weights: ReadonlyMap<string, Weight>,
    maxCalls: number,
  ): Promise<RoutedLayers> {
    const { hiddenSize, layers } = spec;
    const allocate = async (name: string, sizeBytes: number) =>
      wholeBuffer(await device.createBuffer(name, alignUp(sizeBytes, 16)));
    const router: LayerRouterBuffers = {
      means: await allocate("router_means", 4 * MAX_WINDOWS * hiddenSize),
      decisions: await allocate("layer_decisions", 4 * layers.length),
      logits: await allocate("layer_router_logits", 4 * LAYER_DECISIONS.length * layers.length),
      weight: (name) => weights.get(name)!,
    };
    // Each layer's grids begin where a binding may.
    const padding = layers.length * device.info.limits.offsetAlignmentBytes;
    const grids = await allocate("dispatch_grids", GRID_BYTES * maxCalls + padding);
    const counts = await allocate("dispatch_counts", COUNT_BYTES * maxCalls + padding);
    return new RoutedLayers(device, spec, router, grids, counts);
  }

  get pipelines() {
    return [windowMeans, layerRouter, gateDispatches].map((kernel) => ({ kernel, constants: {} }));
  }

  /** Of the last prompt, by layer. */
  get decisions(): BufferSlice {
    return { ...this.#router.decisions, sizeBytes: 4 * this.#spec.layers.length };
  }

  /**
   * Records the layers one after another.
   * @param rows The activations at hand: `n` of `T` rows, from the first on, are the prompt's.
   */
  record(
    layers: readonly LayerRuns[],
    rows: { readonly hidden: BufferSlice; readonly T: number; readonly n: number },
  ): void {
    const { offsetAlignmentBytes } = this.#device.info.limits;
    const calls: KernelCall[] = [];
    let [gridsAt, countsAt] = [0, 0];
    const entries = new Uint32Array(this.#grids.sizeBytes / 4);
    layers.forEach(({ extra, main }, layer) => {
      const gated = [
        ...extra.map((call) => ({ call, least: 2 })),
        ...main.map((call) => ({ call, least: 1 })),
      ];
      gated.forEach(({ call, least }, i) => {
        entries.set([...call.kernel.workgroups(call.dims), least], gridsAt / 4 + 4 * i);
      });
      const N = gated.length;
      const grids = slice(this.#grids, gridsAt, GRID_BYTES * N);
      const counts = slice(this.#counts, countsAt, COUNT_BYTES * N);
      const { decisions } = this.#router;
      calls.push(...decideLayer(this.#spec, this.#router, layer, rows), {
        kernel: gateDispatches,
        buffers: { decisions, grids, counts },
        dims: { S: this.#spec.layers.length, N, slot: layer },
        label: `layer ${layer} router`,
      });
      gated.forEach(({ call }, i) => {
        const grid = slice(this.#counts, countsAt + COUNT_BYTES * i, COUNT_BYTES);
        calls.push({ ...call, grid });
      });
      gridsAt = alignUp(gridsAt + GRID_BYTES * N, offsetAlignmentBytes);
      countsAt = alignUp(countsAt + COUNT_BYTES * N, offsetAlignmentBytes);
    });
    const { buffer, offsetBytes } = this.#grids;
    this.#device.write(buffer as DeviceBuffer, offsetBytes, entries.subarray(0, gridsAt / 4));
    this.#device.record(calls);
  }
}

const slice = (
  { buffer, offsetBytes }: BufferSlice,
  at: number,
  sizeBytes: number,
): BufferSlice => ({
  buffer,
  offsetBytes: offsetBytes + at,
  sizeBytes,
});
