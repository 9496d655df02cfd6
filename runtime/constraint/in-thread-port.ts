/** Constraints on the engine's own thread: where there are no workers, as in shared workers of some browsers. */
import type { Port } from "../remote/port.ts";
import { serveConstraints } from "./serve-constraints.ts";

export function inThreadPort(): Port {
  const [near, far] = portPair();
  serveConstraints(far);
  return near;
}

function portPair(): [Port, Port] {
  const listeners: (((message: unknown) => void) | undefined)[] = [undefined, undefined];
  const gone = new Promise<string>(() => {});
  const port = (own: 0 | 1): Port => ({
    post(message) {
      const copy = structuredClone(message);
      queueMicrotask(() => listeners[1 - own]?.(copy));
    },
    listen(onMessage) {
      listeners[own] = onMessage;
    },
    gone,
    close() {
      listeners.fill(undefined);
    },
  });
  return [port(0), port(1)];
}
