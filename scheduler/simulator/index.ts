/** The simulator's part of `weft-llm/scheduler`. */
export type { Load } from "./arrivals.ts";
export type { Curves } from "./curves.ts";
export type { PolicyFigures } from "./figures.ts";
export { fitGpu, type MeasuredPlan } from "./fit.ts";
export {
  type HardwareName,
  type HardwareProfile,
  hardwareProfiles,
  type ModelShape,
} from "./hardware.ts";
export { readHardware } from "./hardware-file.ts";
export type { MeasuredGpu } from "./measured-gpu.ts";
export { type PolicyName, policies } from "./policies.ts";
export { readTrace } from "./read-trace.ts";
export { type Replay, type ReplayOptions, replay } from "./replay.ts";
export { type PolicyRun, type Simulation, simulate } from "./simulate.ts";
export { syntheticTrace } from "./synthetic.ts";
export type { TraceRequest } from "./trace.ts";
