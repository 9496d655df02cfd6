/** The largest step that a model runner makes room for. */
export interface StepLimits {
  readonly maxTokens: number;
  readonly maxRows: number;
  readonly maxLogitRows: number;
  readonly blockTokens: number;
  /** M: columns of a block table. */
  readonly maxBlocks: number;
  /** KV tiles that split decode has scratch for. */
  readonly maxDecodeTiles: number;
  readonly hasAdapters: boolean;
}
