/** Engines over ports that the caller brings: `worker_threads`, Electron, a worker with other work besides. */

import type { EngineApi } from "../engine-api.ts";
import { createOverflowing, type WithOverflow } from "../overflow/create-overflowing.ts";
import { refuse } from "../request.ts";
import type { LoadProgress } from "../weights/stream.ts";
import { EngineHost } from "./engine-host.ts";
import type { OpenHosted } from "./open-hosted.ts";
import {
  type DomEndpoint,
  domPort,
  type ElectronEndpoint,
  electronPort,
  type NodeEndpoint,
  nodePort,
  type Port,
} from "./port.ts";
import { RemoteEngine } from "./remote-engine.ts";
import { type AnyRemoteOptions, remoteOptions } from "./remote-options.ts";

/** A `MessagePort`, a worker (of the web or of `worker_threads`), `parentPort`, or Electron's `MessagePortMain`. */
export type Endpoint = DomEndpoint | NodeEndpoint | ElectronEndpoint;

export type ConnectOptions = AnyRemoteOptions & Partial<WithOverflow> & ConnectHow;

export interface ConnectHow {
  /**
   * An end of a channel whose other end is given to `hostEngines`. Called again when the host is gone:
   * a channel to another host lets unfinished requests go on there.
   */
  readonly connect: () => Endpoint | Promise<Endpoint>;
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * An engine at the other end of a channel. It is opened there with these options, or shared with others
 * who have asked for the same.
 * @throws {WeftError} `worker_failed`, `protocol_mismatch`, and of every kind that loading can.
 */
export async function connectEngine(options: ConnectOptions): Promise<EngineApi> {
  const { connect, onProgress, signal, overflow, ...rest } = options ?? {};
  if (typeof connect !== "function") refuse("connect", connect, "a function that returns a port");
  const dial = async () => portOf(await connect());
  const engine = remoteOptions(rest as AnyRemoteOptions);
  const open = () => RemoteEngine.open({ dial, engine, onProgress, signal });
  return overflow ? createOverflowing(overflow, open) : open();
}

/**
 * Makes this thread the host of engines for whoever connects.
 * @returns Serves one more port.
 */
export function engineHost(open: OpenHosted): (endpoint: Endpoint) => void {
  const host = new EngineHost(open);
  return (endpoint) => host.serve(portOf(endpoint));
}

/** @throws {WeftError} `bad_request`. */
function portOf(endpoint: Endpoint): Port {
  const known = endpoint as Partial<DomEndpoint & ElectronEndpoint> | undefined;
  if (typeof known?.postMessage !== "function")
    refuse("port", endpoint, "a MessagePort, a worker or a port of Electron's");
  if (known.addEventListener) return domPort(endpoint as DomEndpoint);
  if (known.start) return electronPort(endpoint as ElectronEndpoint);
  return nodePort(endpoint as NodeEndpoint);
}
