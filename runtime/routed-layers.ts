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
import { alignUp, type Device, wholeBuffer } from "./device.ts";
import { GatedCalls } from "./gated-calls.ts";

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
  readonly #gates: GatedCalls;

  private constructor(
    device: Device,
    spec: DecoderSpec,
    router: LayerRouterBuffers,
    gates: GatedCalls,
  ) {
    this.#device = device;
    this.#spec = spec;
    this.#router = router;
    this.#gates = gates;
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
    const most = { calls: maxCalls, groups: layers.length };
    const gates = await GatedCalls.create(device, "dispatch", most);
    return new RoutedLayers(device, spec, router, gates);
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
    const calls: KernelCall[] = [];
    this.#gates.begin();
    layers.forEach(({ extra, main }, layer) => {
      const own = [...extra, ...main];
      const { size, grids, counts, gated } = this.#gates.add(own, (i) =>
        i < extra.length ? 2 : 1,
      );
      const { decisions } = this.#router;
      calls.push(...decideLayer(this.#spec, this.#router, layer, rows), {
        kernel: gateDispatches,
        buffers: { decisions, grids, counts },
        dims: { S: this.#spec.layers.length, N: size, slot: layer },
        label: `layer ${layer} router`,
      });
      calls.push(...own.map(gated));
    });
    this.#device.record(calls);
  }
}
