// Electron's MessageChannelMain over one of Node's: what differs is that messages are events which carry
// the data, that nothing is delivered before `start`, and how an end is told. As in Electron's documentation.

import { EventEmitter } from "node:events";

export class PortMain extends EventEmitter {
  readonly #port: MessagePort;
  #queue: unknown[] | undefined = [];

  constructor(port: MessagePort) {
    super();
    this.#port = port;
    port.onmessage = ({ data }) => {
      if (this.#queue) this.#queue.push(data);
      else this.emit("message", { data, ports: [] });
    };
    port.addEventListener("close", () => this.emit("close"));
  }

  start(): void {
    const queued = this.#queue ?? [];
    this.#queue = undefined;
    for (const data of queued) this.emit("message", { data, ports: [] });
  }

  postMessage(message: unknown): void {
    this.#port.postMessage(message);
  }

  close(): void {
    this.#port.close();
  }

  /** What a renderer gets that it is sent to: a port of the web. Nothing may have been sent yet. */
  inRenderer(): MessagePort {
    this.#port.onmessage = null;
    return this.#port;
  }
}

export function electronChannel(): { readonly port1: PortMain; readonly port2: PortMain } {
  const { port1, port2 } = new MessageChannel();
  return { port1: new PortMain(port1), port2: new PortMain(port2) };
}
