// Peak memory of a process and all it started, by sampling. Linux only; undefined elsewhere.

import { readdirSync, readFileSync } from "node:fs";

const SAMPLE_MS = 100;

/**
 * Anonymous and shared memory: what was allocated. Program files and libraries are left out: how much
 * of them counts depends on which other processes have them mapped.
 */
export class MemoryWatch {
  #pid;
  #ownCounts;
  #peakKb = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /**
   * @param {number} pid
   * @param {{ ownCounts: boolean }} options Whether the process itself counts, or only those below it
   */
  constructor(pid, { ownCounts }) {
    this.#pid = pid;
    this.#ownCounts = ownCounts;
    if (process.platform === "linux") this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** @returns {number | undefined} MiB */
  stop() {
    if (this.#timer === undefined) return undefined;
    clearInterval(this.#timer);
    this.#sample();
    return this.#peakKb / 1024;
  }

  #sample() {
    const below = descendants(this.#pid);
    const pids = this.#ownCounts ? [this.#pid, ...below] : below;
    const sumKb = pids.reduce((sum, pid) => sum + allocatedKb(pid), 0);
    this.#peakKb = Math.max(this.#peakKb, sumKb);
  }
}

/** @param {number} pid */
function allocatedKb(pid) {
  const text = readProc(`${pid}/smaps_rollup`);
  const field = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return field("Pss_Anon") + field("Pss_Shmem");
}

/** @param {number} root @returns {number[]} */
function descendants(root) {
  /** @type {Map<number, number[]>} */
  const children = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // `pid (name) state parent …`, and a name may hold anything.
    const stat = readProc(`${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  /** @type {(pid: number) => number[]} */
  const below = (pid) => (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(root);
}

/** A process may end while it is looked at. @param {string} path */
function readProc(path) {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return "";
  }
}
