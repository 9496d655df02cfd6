/** What a step loop holds at one moment; all zero when nothing is under way. */
export interface LoopUsage {
  /** Sequences that have not ended, waiting ones included. */
  readonly sequences: number;
  readonly slots: number;
  /** Share of the blocks in use per KV group, 0 to 1. */
  readonly kv: readonly number[];
  /** Plans that were not read back yet. */
  readonly plans: number;
}
