/** Requests that this engine has no room for, at a cluster. Loaded when an engine is created with it. */
export { OverflowEngine } from "./overflow-engine.ts";
export type * from "./overflow-metrics.ts";
export type { OverflowOptions, OverflowTimeouts, OverflowWhen } from "./overflow-options.ts";
