// One subject in a sitting: its process, what was measured of it, and the row that comes of that. A
// subject that cannot run, or fails, ends in a row that says why.

import { assertBackend, NotRunnable } from "./evidence.mjs";
import { MemoryWatch } from "./process-memory.mjs";
import {
  COLD_ROUND,
  CONCURRENCIES,
  promptsOf,
  speedsOf,
  spread,
  WARM_UP_ROUND,
} from "./protocol.mjs";
import { SubjectProcess } from "./subject-process.mjs";

/**
 * @typedef {import("./subjects.mjs").Subject} Subject
 * @typedef {{ median: number, min: number, max: number }} Spread
 * @typedef {object} Load
 * @property {string} size
 * @property {number} promptTokens
 * @property {number} genTokens
 * @property {import("./protocol.mjs").Word[]} words
 * @property {import("./machine.mjs").Machine} machine
 *
 * @typedef {object} Row
 * @property {string} subject
 * @property {string} peer
 * @property {string} size
 * @property {string} host
 * @property {string} weights
 * @property {string} [backend]
 * @property {string} [adapter]
 * @property {Spread} [prefillTokPerS]
 * @property {Spread} [decodeTokPerS]
 * @property {Record<string, Spread>} [aggregateTokPerS] By the number of requests at once
 * @property {number} [coldFirstTokenMs]
 * @property {number} [loadMs]
 * @property {number} [peakMiB]
 * @property {number[]} [coldIds] Tokens of the first request
 * @property {string} [agreement] `12/16`: how many of them are the reference device's
 * @property {Record<string, unknown>} [info]
 * @property {string} [notRunnable] Why there are no figures
 * @property {string} [failed]
 */

export class Participant {
  #load;
  /** @type {SubjectProcess | undefined} */
  #process;
  /** @type {Map<number, import("./protocol.mjs").Speeds[]>} Concurrency -> one per timed round */
  #speeds = new Map();

  /** @param {Subject} subject @param {Load} load */
  constructor(subject, load) {
    this.subject = subject;
    this.#load = load;
    this.row = this.#blankRow();
  }

  /** @returns {Row} */
  #blankRow() {
    const { name, peer, host, weights } = this.subject;
    return { subject: name, peer, size: this.#load.size, host, weights };
  }

  get runs() {
    return this.row.failed === undefined && this.row.notRunnable === undefined;
  }

  /** Start cold, prove the backend, warm up. */
  start() {
    return this.#attempt(async () => {
      const { subject, row } = this;
      const { machine, size, promptTokens, genTokens } = this.#load;
      const load = {
        size,
        promptTokens,
        genTokens,
        streams: Math.max(...CONCURRENCIES),
        threads: machine.threads,
      };
      const env = subject.host === "node" && subject.device === "gpu" ? machine.nodeEnv : {};
      const process = new SubjectProcess(subject, size, env);
      this.#process = process;
      await process.call("open", { subject, browser: machine.browser });
      const memory = new MemoryWatch(process.pid, { ownCounts: subject.host === "node" });
      try {
        const [prompt] = this.#prompts(COLD_ROUND, 1);
        const cold = await process.call("coldStart", { subject, load, prompt });
        Object.assign(row, {
          loadMs: cold.loadMs,
          coldFirstTokenMs: cold.firstTokenMs,
          coldIds: cold.ids,
        });
        const warmUps = subject.device === "reference" ? [] : CONCURRENCIES;
        for (const concurrency of warmUps) await this.#ask(WARM_UP_ROUND, concurrency);
      } finally {
        row.peakMiB = memory.stop();
      }
      // Last, since an engine may load its model once more to tell.
      const evidence = await process.call("evidence");
      row.info = evidence.info;
      row.backend = assertBackend(subject, evidence, machine.nodeDriver);
      if (subject.device === "gpu") {
        row.adapter = evidence.info.adapter ?? (evidence.adapter || machine.nodeAdapter);
      }
    });
  }

  /** @param {number} round @param {number} concurrency */
  time(round, concurrency) {
    return this.#attempt(async () => {
      const speeds = await this.#ask(round, concurrency);
      this.#speeds.set(concurrency, [...(this.#speeds.get(concurrency) ?? []), speeds]);
    });
  }

  /** Complete the row. */
  async end() {
    await this.#process?.end();
    this.#process = undefined;
    if (!this.runs || this.#speeds.size === 0) return;
    const alone = this.#speeds.get(1) ?? [];
    const aggregates = [...this.#speeds].map(([concurrency, speeds]) => [
      concurrency,
      spread(speeds.map((speed) => speed.aggregateTokPerS)),
    ]);
    Object.assign(this.row, {
      prefillTokPerS: spread(alone.map((speed) => /** @type {number} */ (speed.prefillTokPerS))),
      decodeTokPerS: spread(alone.map((speed) => /** @type {number} */ (speed.decodeTokPerS))),
      aggregateTokPerS: Object.fromEntries(aggregates),
    });
  }

  /** @param {number} round @param {number} concurrency */
  async #ask(round, concurrency) {
    const { genTokens } = this.#load;
    const prompts = this.#prompts(round, concurrency);
    const answer = await this.#process?.call("ask", { prompts, genTokens });
    return speedsOf(answer, this.#load);
  }

  /** @param {number} round @param {number} concurrency */
  #prompts(round, concurrency) {
    const { words, promptTokens } = this.#load;
    return promptsOf(words, { round, concurrency, promptTokens });
  }

  /** @param {() => Promise<void>} action */
  async #attempt(action) {
    if (!this.runs) return;
    try {
      await action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // What was measured of something else than the row says is no figure of it.
      if (error instanceof NotRunnable) this.row = { ...this.#blankRow(), notRunnable: reason };
      else this.row.failed = reason;
      await this.end();
    }
  }
}
