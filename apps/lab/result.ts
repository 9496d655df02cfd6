/** What the lab gives: one JSON object, the same in Node and in a browser. */
import type { Kernel } from "../../kernels/index.ts";
import type { Probes } from "./probes.ts";
import type { Clock } from "./stopwatch.ts";

export type Source = "weft" | "yours" | "gpu.js" | "onnxruntime-web";

export interface LabRow {
  /** The operation, e.g. `matmul`. */
  readonly name: string;
  /** Which kernel of it, e.g. `gemv[bf16,norm].store`, or another library's backend. */
  readonly variant: string;
  readonly model: string;
  /** What a model does it for, e.g. `gate_up`. */
  readonly role: string;
  readonly rows: number;
  /** Sizes, e.g. `T 1, N 2048, K 8192`. */
  readonly shape: string;
  readonly source: Source;
  readonly clock: Clock;
  /** All null where the row is absent. */
  readonly medianUs: number | null;
  /** Bytes that must be moved, per second: every operand once. 1e9. */
  readonly gbPerS: number | null;
  readonly gflopPerS: number | null;
  readonly rooflinePct: number | null;
  readonly flops: number;
  readonly bytes: number;
  /** Largest error against float64, relative to the RMS of the output; null where it was not taken. */
  readonly maxError: number | null;
  /** The sizes at which the error was taken. */
  readonly errorShape?: string;
  /** The kernel's result is wrong here: its times mean nothing. */
  readonly problem?: string;
  /** Why there is no time. */
  readonly absent?: string;
}

export interface LabResult {
  readonly adapter: string;
  readonly host: string;
  readonly date: string;
  readonly clock: Clock;
  /** How it was measured, in words. */
  readonly method: string;
  /** What to know before reading the figures: a software driver, tiny shapes. */
  readonly notes: readonly string[];
  readonly probes: Probes;
  readonly kernels: readonly LabRow[];
}

/** Dims that a reader knows a kernel by. */
const SHOWN = ["T", "R", "N", "K", "D", "F", "V", "H", "W", "Q", "words"];

export const shapeText = (dims: Readonly<Record<string, number>>, names: readonly string[]) =>
  SHOWN.filter((name) => names.includes(name) && name in dims)
    .map((name) => `${name} ${dims[name]}`)
    .join(", ");

/** Names of dims in the shapes of its bindings, so that a shape shows no others. */
export const dimsOf = ({ bindings }: Kernel): string[] =>
  Object.values(bindings).flatMap(({ shape }) => shape.split(/[,*]/));
