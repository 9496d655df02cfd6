// Where a session lives: this file's own process, or a page (page-host.mjs). Both answer alike.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { ask, coldStart } from "./sessions/session.mjs";

/**
 * @typedef {import("./protocol.mjs").Prompt} Prompt
 * @typedef {{ loadMs: number, firstTokenMs: number, ids: number[] }} ColdStart
 * @typedef {object} SessionHost
 * @property {(engine: string, options: any, prompt: Prompt, genTokens: number) =>
 *   Promise<{ cold: ColdStart, info: Record<string, unknown> }>} coldStart
 * @property {(prompts: Prompt[], genTokens: number) => Promise<import("./protocol.mjs").Answer>} ask
 * @property {() => Promise<Omit<import("./evidence.mjs").Evidence, "info">>} evidence
 * @property {() => Promise<void>} close
 */

/**
 * @param {string} logFile Where this process's stderr goes
 * @returns {SessionHost}
 */
export function nodeHost(logFile) {
  /** @type {import("./sessions/session.mjs").Session} */
  let session;
  return {
    async coldStart(engine, options, prompt, genTokens) {
      const { open } = await import(`./sessions/${engine}.mjs`);
      const started = await coldStart(open, options, prompt, genTokens);
      session = started.session;
      return { cold: started.cold, info: started.info };
    },
    ask: (prompts, genTokens) => ask(session, prompts, genTokens),
    async evidence() {
      await session.inspect?.();
      const log = readFileSync(logFile, "utf8").split("\n");
      return { adapter: "", f16: false, submissions: undefined, drivers: vulkanDrivers(), log };
    },
    close: () => session.close(),
  };
}

/** File names of the Vulkan drivers that this process has mapped; none where that cannot be told. */
function vulkanDrivers() {
  if (process.platform !== "linux") return [];
  const files = readFileSync("/proc/self/maps", "utf8").match(/\/\S+\.so[.\d]*$/gm) ?? [];
  const names = new Set(files.map((path) => basename(path)));
  return [...names].filter((name) => /vulkan_|vk_swiftshader|nvidia/.test(name));
}
