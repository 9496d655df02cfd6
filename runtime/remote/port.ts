/**
 * One end of a connection that carries structured clones in order, whatever makes it: a worker, a
 * MessagePort, `worker_threads`, Electron. Owns how each of them says that the other end is gone.
 */

export interface Port {
  /** @throws whatever the platform throws for what cannot be cloned. */
  post(message: unknown): void;
  /** Once; messages that came before are delivered then. */
  listen(onMessage: (message: unknown) => void): void;
  /** The other end is gone, as far as the platform says so, and why. */
  readonly gone: Promise<string>;
  close(): void;
}

/** What `MessagePort`, `Worker` and a worker's own scope have in common. */
export interface DomEndpoint extends EventTarget {
  postMessage(message: unknown): void;
  start?(): void;
  close?(): void;
  terminate?(): void;
}

/** Closing the port of a worker ends the worker. */
export function domPort(endpoint: DomEndpoint): Port {
  const gone = new Promise<string>((resolve) => {
    endpoint.addEventListener("close", () => resolve("its port was closed"));
    endpoint.addEventListener("error", (event) => {
      const { message, filename } = event as Partial<ErrorEvent>;
      resolve(message ? `${message} (${filename})` : "its script did not load");
    });
  });
  return {
    gone,
    post: (message) => endpoint.postMessage(message),
    listen(onMessage) {
      endpoint.addEventListener("message", (event) => onMessage((event as MessageEvent).data));
      endpoint.start?.();
    },
    close: () => (endpoint.terminate ?? endpoint.close)?.call(endpoint),
  };
}

/** `worker_threads`: a `Worker`, a `MessagePort`, or `parentPort`. */
export interface NodeEndpoint {
  postMessage(message: unknown): void;
  /** As of an EventEmitter. */
  readonly on: (...args: never[]) => unknown;
  close?(): void;
  terminate?(): unknown;
}

export function nodePort(endpoint: NodeEndpoint): Port {
  const on = listenerOf(endpoint);
  const gone = new Promise<string>((resolve) => {
    on("close", () => resolve("its port was closed"));
    on("exit", (code: number) => resolve(`it ended with code ${code}`));
    on("error", (error: Error) => resolve(error.message));
  });
  return {
    gone,
    post: (message) => endpoint.postMessage(message),
    listen: (onMessage) => on("message", onMessage),
    close: () => void (endpoint.terminate ?? endpoint.close)?.call(endpoint),
  };
}

/** Electron's `MessagePortMain`, whose messages are events. */
export interface ElectronEndpoint {
  postMessage(message: unknown): void;
  /** As of an EventEmitter. */
  readonly on: (...args: never[]) => unknown;
  start(): void;
  close(): void;
}

export function electronPort(endpoint: ElectronEndpoint): Port {
  const on = listenerOf(endpoint);
  return {
    gone: new Promise((resolve) => {
      on("close", () => resolve("its port was closed"));
    }),
    post: (message) => endpoint.postMessage(message),
    listen(onMessage) {
      on("message", ({ data }: { data: unknown }) => onMessage(data));
      endpoint.start();
    },
    close: () => endpoint.close(),
  };
}

type On = (event: string, listener: (value: never) => void) => void;

const listenerOf = (endpoint: NodeEndpoint | ElectronEndpoint): On =>
  (endpoint.on as On).bind(endpoint);
