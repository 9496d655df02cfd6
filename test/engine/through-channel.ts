// The public face through a MessageChannel, by the very host and client that workers use: every request,
// chunk, result and error crosses by structured clone, and an AbortSignal becomes a message.

import type { Engine } from "../../runtime/engine.ts";
import { EngineHost } from "../../runtime/remote/engine-host.ts";
import { domPort } from "../../runtime/remote/port.ts";
import { RemoteEngine } from "../../runtime/remote/remote-engine.ts";
import type { EngineDoor } from "./subject.ts";

/** @returns A door at the far end; closing it closes the engine and the channel. */
export function throughChannel(engine: Engine): Promise<EngineDoor> {
  const { port1, port2 } = new MessageChannel();
  new EngineHost(async () => engine).serve(domPort(port2));
  return RemoteEngine.open({ dial: () => domPort(port1), engine: { model: "given" } });
}
