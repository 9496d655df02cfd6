/** Reads a hardware profile from JSON: every field is checked, and none is unknown. */
import { SchedulerError } from "../errors.ts";
import type { HardwareProfile, ModelShape, RatedGpu } from "./hardware.ts";
import { isMeasured, type MeasuredGpu } from "./measured-gpu.ts";

type Rule =
  | "a number above 0"
  | "a number of 0 or more"
  | "a number from 0 to 1"
  | "a whole number of 1 or more";

const RATED: Record<keyof RatedGpu, Rule> = {
  gbPerS: "a number above 0",
  tflopPerS: "a number above 0",
  submitMs: "a number of 0 or more",
  readbackMs: "a number of 0 or more",
};
const MEASURED: Record<Exclude<keyof MeasuredGpu, "spread">, Rule> = {
  planMs: "a number of 0 or more",
  rowMs: "a number of 0 or more",
  tileMs: "a number of 0 or more",
  attendedMs: "a number of 0 or more",
  gapMs: "a number of 0 or more",
  hostMs: "a number of 0 or more",
  readbackMs: "a number of 0 or more",
};

const COUNT = "a whole number of 1 or more";
const DENSE: Record<Exclude<keyof ModelShape, keyof typeof EXPERTS>, Rule> = {
  numLayers: COUNT,
  hiddenSize: COUNT,
  intermediateSize: COUNT,
  numHeads: COUNT,
  numKvHeads: COUNT,
  headSize: COUNT,
  vocabSize: COUNT,
  bytesPerWeight: "a number above 0",
  bytesPerKvValue: "a number above 0",
};
const EXPERTS = { numExperts: COUNT, numActiveExperts: COUNT } as const;

const STREAMING: Record<keyof NonNullable<HardwareProfile["streaming"]>, Rule> = {
  residentExperts: "a number from 0 to 1",
  gbPerS: "a number above 0",
};

/** @throws {SchedulerError} "bad_config". */
export function readHardware(text: string): HardwareProfile {
  const profile = object(parse(text), "the profile", ["gpu", "model", "streaming"]);
  const wasMeasured = isMeasured(Object(profile.gpu));
  const rules = wasMeasured ? MEASURED : RATED;
  const keys = [...Object.keys(rules), ...(wasMeasured ? ["spread"] : [])];
  const gpu = object(profile.gpu, "gpu", keys);
  const model = object(profile.model, "model", Object.keys({ ...DENSE, ...EXPERTS }));
  const isMixture = Object.keys(EXPERTS).some((key) => key in model);
  check(gpu, "gpu", rules);
  if (wasMeasured) checkSpread(gpu.spread);
  check(model, "model", isMixture ? { ...DENSE, ...EXPERTS } : DENSE);
  const { numExperts, numActiveExperts } = model as unknown as Required<ModelShape>;
  if (isMixture && numActiveExperts > numExperts)
    refuse("model.numActiveExperts", numActiveExperts, `at most model.numExperts, ${numExperts}`);
  if (profile.streaming === undefined) return { gpu, model } as unknown as HardwareProfile;
  const streaming = object(profile.streaming, "streaming", Object.keys(STREAMING));
  check(streaming, "streaming", STREAMING);
  if (wasMeasured) refuse("streaming", streaming, "left out: what gpu costs was measured");
  if (!isMixture) refuse("streaming", streaming, "left out: model has no experts");
  return { gpu, model, streaming } as unknown as HardwareProfile;
}

function object(value: unknown, name: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    refuse(name, value, `a JSON object with ${keys.join(", ")}`);
  for (const key of Object.keys(value))
    if (!keys.includes(key)) refuse(`a key of ${name}`, key, `one of ${keys.join(", ")}`);
  return value as Record<string, unknown>;
}

function check(values: Record<string, unknown>, name: string, rules: Record<string, Rule>): void {
  for (const [key, rule] of Object.entries(rules)) {
    const value = values[key];
    const isNumber = typeof value === "number" && Number.isFinite(value);
    const holds = {
      "a number above 0": isNumber && value > 0,
      "a number of 0 or more": isNumber && value >= 0,
      "a number from 0 to 1": isNumber && value >= 0 && value <= 1,
      [COUNT]: Number.isSafeInteger(value) && (value as number) >= 1,
    };
    if (!holds[rule]) refuse(`${name}.${key}`, value, rule);
  }
}

function checkSpread(value: unknown): void {
  const isList = Array.isArray(value) && value.length > 0;
  if (!isList || !value.every((ratio) => Number.isFinite(ratio) && ratio > 0))
    refuse("gpu.spread", value, "a list of numbers above 0");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    refuse("the file", text.slice(0, 40), "JSON");
  }
}

function refuse(name: string, actual: unknown, required: string): never {
  throw new SchedulerError(
    "bad_config",
    `hardware profile: ${name} is ${JSON.stringify(actual) ?? "missing"}; ` +
      `it must be ${required}: change the profile`,
  );
}
