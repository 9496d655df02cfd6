/** The process around the command line: its streams, Ctrl-C, and a reader that stops reading. */
import { setMaxListeners } from "node:events";
import { cli } from "./cli.ts";

const controller = new AbortController();
// Every request listens to it; sixteen at once are no leak.
setMaxListeners(0, controller.signal);
let interrupt: (() => void) | undefined;
let terminate: (() => void) | undefined;

process.on("SIGINT", () => {
  if (interrupt) return interrupt();
  // The second time somebody does not want to wait for a clean end.
  if (controller.signal.aborted) process.exit(130);
  controller.abort("interrupt");
});

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    controller.abort("nobody reads the output");
  });
}

const status = await cli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: controller.signal,
  onInterrupt: (handler) => {
    interrupt = handler;
  },
  onTerminate: (handler) => {
    if (terminate) process.off("SIGTERM", terminate);
    if (handler) process.on("SIGTERM", handler);
    terminate = handler;
  },
});
process.exitCode = controller.signal.aborted && status === 0 ? 1 : status;
