/** Errors of the models folder. The public door turns them into `WeftError` of the same code. */
export type ModelErrorCode = "unsupported_model" | "bad_config" | "missing_tensor";

export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly code: ModelErrorCode;
  /** @param message What, actual, required and cure. */
  constructor(code: ModelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
