/**
 * What load options may be, apart and together, on a device and with a model's weights. Refuses what
 * would be ignored: each option that is given has its effect, or is an error with the cure.
 */
import { INTEGER_DOTS } from "../kernels/int8-activations.ts";
import type { KvStorage } from "../kernels/kv-layout.ts";
import { weightFormats } from "../kernels/weight-format.ts";
import type { DecoderSpec } from "../models/decoder.ts";
import { activationWidths } from "../models/tensors.ts";
import type { Device } from "./device.ts";
import { WeftError } from "./errors.ts";
import type { ExpertPlan } from "./experts/expert-plan.ts";
import { formatsOf, type PlacedWeight } from "./placed-weight.ts";

/** As callers give them: JavaScript may give anything. */
interface GivenOptions {
  readonly quant?: string;
  readonly tuning?: object;
  readonly invariant?: boolean;
  readonly activations?: string;
  readonly adapters?: object;
  readonly experts?: object;
}

/** @throws {WeftError} `bad_request`. */
export function checkLoadOptions(device: Device, options: GivenOptions): void {
  checkQuant(options.quant);
  checkTuning(options);
  checkActivations(device, options);
  checkAdapters(options);
}

function checkAdapters({ adapters = {}, experts }: GivenOptions): void {
  if (!experts || Object.keys(adapters).length === 0) return;
  throw new WeftError(
    "bad_request",
    "adapters are given with experts.memoryBytes; experts of adapters all have their place in GPU " +
      "memory: leave out one of the two",
  );
}

function checkQuant(quant: string | undefined): void {
  if (quant === undefined || quant === "q8" || quant === "q4") return;
  throw new WeftError(
    "bad_request",
    `quant is ${JSON.stringify(quant)}, it must be "q8" or "q4"; leave it out to keep weights as stored`,
  );
}

function checkTuning({ tuning, invariant = true, activations }: GivenOptions): void {
  if (!tuning) return;
  const refused = (option: string, kernels: string) => {
    throw new WeftError(
      "bad_request",
      `tuning is given with ${option}; it chooses between kernels that give the same bits, and ` +
        `those that ${kernels} are not among them: leave out one of the two`,
    );
  };
  if (!invariant) refused("invariant: false", "add in any order");
  if (activations === "i8") refused('activations: "i8"', "round rows to int8");
}

function checkActivations({ info }: Device, { activations }: GivenOptions): void {
  if (activations === undefined || activations === "f32") return;
  if (activations !== "i8") {
    throw new WeftError(
      "bad_request",
      `activations is ${JSON.stringify(activations)}, it must be "f32" or "i8"; change the option`,
    );
  }
  if (info.kind === "reference" || info.languageFeatures?.includes(INTEGER_DOTS)) return;
  throw new WeftError(
    "bad_request",
    `activations is "i8", which needs the WGSL language feature ${INTEGER_DOTS}, and this WebGPU ` +
      'implementation is without it; leave the option out (activations: "f32"), or update the browser',
  );
}

/** An option that changes nothing would read as one that works. @throws {WeftError} `bad_request`. */
export function checkHasIntegers(weights: readonly PlacedWeight[]): void {
  const formats = formatsOf(weights);
  if (formats.some((format) => weightFormats[format].integer)) return;
  throw new WeftError(
    "bad_request",
    `activations is "i8", but the model's matrices are in ${formats.join(", ")}, and int8 rows need ` +
      'q8_0, q4_0, q4_k or 4-bit groups; quantise them (quant: "q8" or "q4"), or leave the option out',
  );
}

/**
 * Codes of weights and of an int8 cache are unpacked four at a time, by functions of a language feature
 * that old implementations are without. @throws {WeftError} `unsupported_dtype`.
 */
export function checkUnpacks(
  { info }: Device,
  weights: readonly PlacedWeight[],
  kv: KvStorage,
): void {
  if (info.kind === "reference" || info.languageFeatures?.includes(INTEGER_DOTS)) return;
  const packed = formatsOf(weights).filter((format) => weightFormats[format].block.weights > 1);
  const what = [
    ...(packed.length > 0 ? [`weights in ${packed.join(", ")}`] : []),
    ...(kv === "i8" ? ["a KV cache in i8"] : []),
  ].join(" and ");
  if (what === "") return;
  throw new WeftError(
    "unsupported_dtype",
    `${what} would need the WGSL language feature ${INTEGER_DOTS}, and this WebGPU implementation is ` +
      "without it; update the browser, or load f16 weights with a KV cache in f16",
  );
}

/**
 * Queries in the latent's space are the widest rows of all: with 128 heads those of 512 tokens exceed the
 * bindings that every device has. @throws {WeftError} `limit_exceeded`.
 */
export function checkLatentRows(
  { info }: Device,
  spec: DecoderSpec,
  maxTokensPerPlan: number,
): void {
  const rowBytes = 4 * activationWidths(spec).q_latent;
  const { maxBindingBytes } = info.limits;
  if (rowBytes * maxTokensPerPlan <= maxBindingBytes) return;
  throw new WeftError(
    "limit_exceeded",
    `the queries of ${maxTokensPerPlan} tokens need ${rowBytes * maxTokensPerPlan} bytes in one binding ` +
      `where they meet latents, this adapter allows ${maxBindingBytes}; set maxTokensPerPlan to ` +
      `${Math.floor(maxBindingBytes / rowBytes)} at most`,
  );
}

/** Latents are kept in f32 or f16 (kernels/latent-layout.ts). @throws {WeftError} `bad_request`. */
export function checkLatentStorage({ modelType, layers }: DecoderSpec, kv: KvStorage): void {
  if (kv !== "i8" || !layers.some(({ latent }) => latent)) return;
  throw new WeftError(
    "bad_request",
    `kv is "i8", but ${modelType} keeps a latent of each token, which is cached in f16 or f32; leave ` +
      "the option out: a latent is small already",
  );
}

/** @throws {WeftError} `unsupported_model` where a router could not leave a layer out on the GPU. */
export function checkRoutable({ layers }: DecoderSpec, experts: ExpertPlan | undefined): void {
  const reason = experts
    ? "experts come and go by the host, which would have to wait for each layer's router"
    : layers.some(({ convolution }) => convolution)
      ? "its convolutions keep a state that every layer has to go on with"
      : undefined;
  if (reason === undefined) return;
  throw new WeftError(
    "unsupported_model",
    `layerRouters are given for a model where ${reason}; leave them out`,
  );
}
