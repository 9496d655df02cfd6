// What `npm test` prints beside vitest's own report: the slowest tests, the pipelines each driver
// compiled, the projects whose driver is absent; and the same as JSON for the launchers.

import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";

const SLOWEST = 20;

/** Project name -> why it cannot run here, and the cure. */
export type AbsentProjects = Record<string, string>;

/** Written to the file named by WEFT_TEST_SUMMARY; read by scripts/test.mjs and scripts/soak.mjs. */
export interface TestSummary {
  passed: number;
  failed: number;
  skipped: number;
  absent: AbsentProjects;
  pipelines: Record<string, number>;
  soak: { project: string; test: string; name: string; data: Record<string, unknown> }[];
}

export class SummaryReporter implements Reporter {
  readonly #absent: AbsentProjects;
  #vitest!: Vitest;

  constructor(absent: AbsentProjects) {
    this.#absent = absent;
  }

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const summary = this.#summarise(modules, tests, unhandledErrors.length);
    this.#print(summary, tests);
    // An absent driver is no pass: where all must be there, the run fails.
    if (process.env.CI === "true" && Object.keys(summary.absent).length > 0) process.exitCode = 1;
    const file = process.env.WEFT_TEST_SUMMARY;
    if (file !== undefined) writeFileSync(file, JSON.stringify(summary));
  }

  #summarise(
    modules: readonly TestModule[],
    tests: readonly TestCase[],
    numUnhandled: number,
  ): TestSummary {
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    // A file that fails outside its tests (import, beforeAll) has failed even if no test has.
    const brokenFiles = modules.filter((module) => module.errors().length > 0).length;
    const pipelines: Record<string, number> = {};
    for (const module of modules) {
      const compiled = module.meta().pipelines;
      if (compiled === undefined) continue;
      const name = module.project.name;
      pipelines[name] = (pipelines[name] ?? 0) + compiled;
    }
    const soak = tests.flatMap((test) =>
      (test.meta().soak ?? []).map((entry) => ({
        project: test.project.name,
        test: test.fullName,
        ...entry,
      })),
    );
    return {
      passed: count("passed"),
      failed: count("failed") + brokenFiles + numUnhandled,
      skipped: count("skipped") + count("pending"),
      absent: this.#asked(),
      pipelines,
      soak,
    };
  }

  /** Absent projects among those this run was asked for. */
  #asked(): AbsentProjects {
    const filter = this.#vitest.config.project ?? [];
    return Object.fromEntries(
      Object.entries(this.#absent).filter(([name]) => filter.length === 0 || filter.includes(name)),
    );
  }

  #print(summary: TestSummary, tests: readonly TestCase[]): void {
    const lines: string[] = [];
    const timed = tests
      .map((test) => ({ test, ms: test.diagnostic()?.duration ?? 0 }))
      .filter(({ ms }) => ms >= 1)
      .sort((a, b) => b.ms - a.ms)
      .slice(0, SLOWEST);
    if (timed.length > 0) lines.push(`Slowest ${timed.length} tests`);
    for (const { test, ms } of timed) {
      const file = relative(this.#vitest.config.root, test.module.moduleId);
      const seconds = (ms / 1000).toFixed(2).padStart(8);
      lines.push(`${seconds} s  ${test.project.name}  ${file} > ${test.fullName}`);
    }
    for (const [name, compiled] of Object.entries(summary.pipelines)) {
      lines.push(`Pipelines compiled on ${name}: ${compiled}`);
    }
    for (const [name, why] of Object.entries(summary.absent)) {
      lines.push(`ABSENT project ${name}, so none of its tests ran: ${why}`);
    }
    if (lines.length > 0) this.#vitest.logger.log(`\n${lines.join("\n")}\n`);
  }
}
