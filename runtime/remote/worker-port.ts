/** Ports to workers of a page, each with a channel of its own, whose closing tells that the worker has ended. */
import { domPort, type Port } from "./port.ts";

/** Closing the port ends the worker. */
export function dedicatedWorkerPort(worker: Worker): Port {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage("connect", [port2]);
  const port = domPort(port1);
  return {
    ...port,
    gone: Promise.race([port.gone, scriptFailure(worker)]),
    close() {
      port.close();
      worker.terminate();
    },
  };
}

/** The worker goes on for others, and ends with the last page that uses it. */
export function sharedWorkerPort(worker: SharedWorker): Port {
  const port = domPort(worker.port);
  return { ...port, gone: Promise.race([port.gone, scriptFailure(worker)]) };
}

function scriptFailure(worker: Worker | SharedWorker): Promise<string> {
  return new Promise((resolve) => {
    worker.addEventListener("error", (event) => {
      const { message, filename, lineno } = event as Partial<ErrorEvent>;
      // A script that is not there, or not allowed, has no message.
      resolve(
        message
          ? `${message} (${filename}:${lineno})`
          : "its script did not load; the server must serve engine-worker.js and worker/ of weft-llm's dist/ " +
              "beside the page's bundle, as JavaScript, and the page's Content-Security-Policy must allow it " +
              "(worker-src)",
      );
    });
  });
}
