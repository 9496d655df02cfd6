// Commands and servers of the package's check, each ended with it.

import { spawn, spawnSync } from "node:child_process";
import { say } from "../setup/state.mjs";

/**
 * @param {string} folder @param {string} command @param {readonly string[]} args
 * @param {Record<string, string>} [env] Beside this process's own
 * @returns {string} What it printed. @throws when it fails, with what it printed
 */
export function run(folder, command, args, env = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (error) throw error;
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${stdout}${stderr}`.slice(0, 4000));
  return stdout;
}

/**
 * A server that prints its address. It is ended when `use` is done.
 * @template T @param {string} folder @param {readonly string[]} args Of node
 * @param {(url: string) => Promise<T>} use
 */
export async function withServer(folder, args, use) {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  const address = new Promise((resolve, reject) => {
    const take = (/** @type {Buffer} */ text) => {
      printed += text;
      const [url] = /http:\/\/(localhost|127\.0\.0\.1):\d+\//.exec(printed) ?? [];
      if (url) resolve(url);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("exit", () => reject(new Error(`${args.join(" ")}: ${printed}`)));
  });
  try {
    return await use(await address);
  } finally {
    child.kill();
  }
}

/** @param {string} where @param {string} text */
export function requireAnswer(where, text) {
  if (text.trim() === "") throw new Error(`${where}: the program ended without an answer`);
  say(`${where}: ${JSON.stringify(text.trim())}`);
}
