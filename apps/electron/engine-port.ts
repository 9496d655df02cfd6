/** A window's ports to the host of engines: `connectEngine({ connect: enginePort, … })`. */
import { WeftError } from "weft-llm/worker";
import type { Bridge } from "./bridge.ts";

declare const weft: Bridge;

/** In the order in which they have asked; any port is as good as another. */
const waiting: ((port: MessagePort) => void)[] = [];

addEventListener("message", ({ source, data, ports: [port] }) => {
  if (source === window && data === "weft-port" && port) waiting.shift()?.(port);
});

/** @throws {WeftError} `worker_failed`: there is no host now. */
export function enginePort(): Promise<MessagePort> {
  return new Promise((resolve, reject) => {
    waiting.push(resolve);
    weft.askForPort().catch(({ message }) => {
      waiting.splice(waiting.indexOf(resolve), 1);
      reject(new WeftError("worker_failed", message));
    });
  });
}
