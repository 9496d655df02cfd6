// Runs the built command line as a user does, in a process of its own.

import { spawn } from "node:child_process";
import { join } from "node:path";

const WEFT = join(import.meta.dirname, "..", "..", "bin", "weft.mjs");

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Written to stdin, which then ends. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called once, with the first output; may signal the process. */
  readonly onOutput?: (process: { kill(signal: "SIGINT"): void; stopReading(): void }) => void;
}

export function weft(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { input = "", env, onOutput } = options;
  const child = spawn(process.execPath, [WEFT, ...args], { env: { ...process.env, ...env } });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  if (onOutput) {
    child.stdout.once("data", () => {
      onOutput({ kill: (signal) => child.kill(signal), stopReading: () => child.stdout.destroy() });
    });
  }
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
  });
}

/** The one JSON object on stdout. @throws {Error} when the command failed, with what it said. */
export async function weftJson(args: readonly string[], options?: RunOptions) {
  const { status, stdout, stderr } = await weft([...args, "--json"], options);
  if (status !== 0) throw new Error(`weft ${args.join(" ")} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout);
}
