/** What another library must bring to be measured beside ours. */
import type { Task } from "./tasks.ts";

/** One library on one backend, ready to do one task again and again. */
export interface Contender {
  /** The backend that really runs, as the library itself names it. */
  readonly backend: string;
  /** Runs the task so many times; resolves when the last has ended. */
  run(repeats: number): Promise<void>;
  /** The result, rows one after another. */
  read(): Promise<Float32Array>;
  destroy(): void;
}

export interface Opponent {
  readonly source: "gpu.js" | "onnxruntime-web";
  readonly backends: readonly string[];
  /** @throws {Absent} */
  open(backend: string, task: Task): Promise<Contender>;
}

/** Why a library does not take part: a row of the table, never silence. */
export class Absent extends Error {}

/** A library that cannot take part at all. */
export const absentOpponent = (source: Opponent["source"], reason: string): Opponent => ({
  source,
  backends: ["webgpu"],
  open: async () => {
    throw new Absent(reason);
  },
});
