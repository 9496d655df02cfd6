/**
 * The second way, an experiment: the engines run in a process of Node, with Dawn from the package `webgpu`.
 * For what a page cannot have: models as paths on the disk, Dawn's own switches. Owns the child process.
 */
import { utilityProcess } from "electron";
import type { HostProcess } from "./gpu-host.ts";

/** @param script Path of the built utility.ts. */
export async function utilityHost(script: string): Promise<HostProcess> {
  const child = utilityProcess.fork(script, [], { serviceName: "weft-engines" });
  const gone = new Promise<string>((resolve) => {
    child.on("exit", (code) => resolve(`it ended with code ${code}`));
  });
  const spawned = new Promise<void>((resolve) => child.once("spawn", resolve));
  const failed = gone.then((why) => Promise.reject(new Error(why)));
  failed.catch(() => {});
  await Promise.race([spawned, failed]);
  return {
    gone,
    // What is sent before the script listens waits for it.
    send: (port) => child.postMessage("weft-port", [port]),
    close: () => void child.kill(),
  };
}
