/** How a host comes by the engines that it serves. */
import type { HostedEngine } from "../engine-api.ts";
import type { LoadProgress } from "../weights/stream.ts";
import type { AnyRemoteOptions } from "./remote-options.ts";

export interface OpenOptions {
  readonly signal: AbortSignal;
  onProgress(progress: LoadProgress): void;
}

/** What a platform brings to its hosts. @throws {WeftError} of every kind that loading can. */
export type OpenHosted = (options: AnyRemoteOptions, how: OpenOptions) => Promise<HostedEngine>;
