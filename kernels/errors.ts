/** Errors of the kernel folder. The public door turns them into `WeftError` of the same code. */
export type KernelErrorCode = "bad_kernel" | "bad_shape" | "missing_dim" | "unsupported";

export class KernelError extends Error {
  override readonly name = "KernelError";
  readonly code: KernelErrorCode;
  /** @param message What, actual, required and cure. */
  constructor(code: KernelErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
