// One subject's process, seen from the sitting: start it cold, ask it, end it.

import { fork } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CACHE } from "./places.mjs";

const LOGS = join(CACHE, "logs");
const RUNNER = join(import.meta.dirname, "subject-runner.mjs");
/** Of one answer. A software adapter may need minutes for eight requests at once. */
const ANSWER_LIMIT_MS = 1_200_000;
const CLOSE_LIMIT_MS = 10_000;

export class SubjectProcess {
  /** Compiled shaders end here, so that nothing of an earlier run is found. */
  #driverCache = mkdtempSync(join(tmpdir(), "weft-compare-"));
  #child;
  #logFile;

  /**
   * @param {import("./subjects.mjs").Subject} subject
   * @param {string} label Names its log
   * @param {Record<string, string>} env Of the driver
   */
  constructor(subject, label, env) {
    mkdirSync(LOGS, { recursive: true });
    this.#logFile = join(LOGS, `${label}-${subject.name}.log`);
    const log = openSync(this.#logFile, "w");
    this.#child = fork(RUNNER, [], {
      env: { ...process.env, ...env, MESA_SHADER_CACHE_DIR: this.#driverCache },
      stdio: ["ignore", log, log, "ipc"],
      // Tensors of BigInt and typed arrays go through as they are.
      serialization: "advanced",
    });
    closeSync(log);
  }

  get pid() {
    return /** @type {number} */ (this.#child.pid);
  }

  /**
   * @param {"open" | "coldStart" | "ask" | "evidence" | "close"} verb
   * @param {object} message
   * @param {number} limitMs
   * @returns {Promise<any>}
   * @throws if it fails, dies or takes too long; `end` it then
   */
  call(verb, message = {}, limitMs = ANSWER_LIMIT_MS) {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const settle = (/** @type {() => void} */ how) => {
        clearTimeout(timer);
        child.off("message", onMessage).off("exit", onExit);
        how();
      };
      const fail = (/** @type {string} */ why) =>
        settle(() => reject(new Error(`${why}; its log is ${this.#logFile}`)));
      const onMessage = (/** @type {any} */ { result, error }) =>
        error === undefined ? settle(() => resolve(result)) : fail(error.split("\n")[0]);
      const onExit = (/** @type {number | null} */ code, /** @type {string | null} */ signal) =>
        fail(`its process ended with ${signal ?? `exit status ${code}`}`);
      const timer = setTimeout(() => fail(`no answer within ${limitMs / 1000} s`), limitMs);
      if (child.exitCode !== null || child.signalCode !== null) {
        onExit(child.exitCode, child.signalCode);
        return;
      }
      child.on("message", onMessage).on("exit", onExit);
      child.send({ verb, logFile: this.#logFile, ...message });
    });
  }

  /** Some engines do not end by themselves. */
  async end() {
    await this.call("close", {}, CLOSE_LIMIT_MS).catch(() => {});
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await gone;
    }
    rmSync(this.#driverCache, { recursive: true, force: true });
  }
}
