/**
 * `weft simulate`: request traces through the real scheduler on a virtual clock, policy beside
 * policy. Needs no GPU and no model. Owns files and the table; the figures are the scheduler's.
 */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import {
  type HardwareName,
  type HardwareProfile,
  hardwareProfiles,
  type Load,
  type PolicyFigures,
  type PolicyName,
  type PolicyRun,
  policies,
  readHardware,
  readTrace,
  simulate as simulateRuns,
  syntheticTrace,
} from "../../scheduler/index.ts";
import { defineCommand, log, printJson } from "./command.ts";
import { type Option, UsageError, unknown } from "./option.ts";
import { flag, integer, number, text } from "./option-types.ts";
import { simulateReport } from "./simulate-report.ts";
import { type Column, table } from "./table.ts";
import { readTextFile, requireFolder } from "./text-file.ts";

const POLICIES = Object.keys(policies) as PolicyName[];
/** Without a quantum nothing is cut, and these are as any other. */
const cuts = (name: PolicyName): boolean => "cutBy" in policies[name];
const HARDWARE = Object.keys(hardwareProfiles) as HardwareName[];
const MANY = Number.MAX_SAFE_INTEGER;

const policyList: Option<readonly PolicyName[]> = {
  value: "P,P,…",
  help: `of ${POLICIES.join(", ")}; default all, the last three with --quantum`,
  parse: (given, name) =>
    unique(given, name).map((part) => {
      const policy = POLICIES.find((known) => known === part);
      if (policy === undefined) throw unknown("policy", part, POLICIES);
      return policy;
    }),
};

const loadList: Option<readonly Load[]> = {
  value: "backlog|X,X,…",
  help: "all requests at once, or tokens offered as shares of capacity; default backlog",
  parse: (given, name) =>
    unique(given, name).map((part) => {
      if (part === "backlog") return part;
      const load = part === "" ? Number.NaN : Number(part);
      if (load > 0 && load <= 100) return load;
      throw new UsageError(
        `${name} is ${JSON.stringify(part)}, it must be backlog or a number above 0 and at most ` +
          "100; change the value",
      );
    }),
};

function unique(given: string, name: string): string[] {
  const parts = given.split(",").map((part) => part.trim());
  const twice = parts.find((part, index) => parts.indexOf(part) < index);
  if (twice === undefined) return parts;
  throw new UsageError(`${name} names ${twice} twice; name it once`);
}

const options = {
  trace: text("F", "Azure CSV or Mooncake JSONL, also .gz; default a built-in workload"),
  requests: integer(1, MANY, "the first N; default all of a trace, 1000 of the built-in workload"),
  policies: policyList,
  load: loadList,
  kvTokens: integer(64, MANY, "tokens that the KV cache holds; default 32768"),
  hardware: text("NAME|FILE", `${HARDWARE.join(", ")}, or a JSON file; default ${HARDWARE[0]}`),
  quantum: number(0.1, 1e6, "bound on a plan's GPU milliseconds; default none"),
  seed: integer(0, MANY, "of arrivals and of what policies draw; default 0"),
  report: text("F.html", "write plots into this file"),
  json: flag("one JSON object on stdout"),
};

export const simulate = defineCommand({
  name: "simulate",
  summary: "the scheduler against a request trace, without a GPU",
  options,
  run: async (values, terminal) => {
    const { kvTokens = 32_768, seed = 0, report, load: loads = ["backlog"] } = values;
    if (report !== undefined) requireFolder(report, "--report");
    const { quantum: quantumMs } = values;
    const chosen = values.policies ?? POLICIES.filter((name) => quantumMs || !cuts(name));
    const idle = chosen.find(cuts);
    if (idle !== undefined && quantumMs === undefined)
      throw new UsageError(`--policies ${idle} cuts prompts to a quantum; give --quantum MS too`);
    const hardware = hardwareOf(values.hardware ?? HARDWARE[0]);
    const all = values.trace ? readTrace(readTextFile(values.trace)) : undefined;
    const requests =
      all?.slice(0, values.requests) ?? syntheticTrace(values.requests ?? 1000, seed);
    const runs: PolicyRun[] = [];
    let startedMs = performance.now();
    for (const run of simulateRuns({
      ...{ requests, loads, kvTokens, hardware, quantumMs, seed },
      policies: chosen,
    })) {
      const { name, load, steps } = run.figures;
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      log(terminal, `${name}, load ${load}: ${steps} steps simulated in ${seconds} s`);
      runs.push(run);
      // Lets Ctrl-C through: a run itself never waits.
      await setImmediate();
      terminal.signal.throwIfAborted();
      startedMs = performance.now();
    }
    const figures = runs.map((run) => run.figures);
    const about = {
      trace: values.trace === undefined ? "built-in" : basename(values.trace),
      requests: requests.length,
      hardware: values.hardware ?? HARDWARE[0],
      ...{ kvTokens, seed, ...(quantumMs && { quantumMs }) },
    };
    if (report !== undefined) writeFileSync(report, simulateReport(about, runs));
    if (values.json) printJson(terminal, { ...about, policies: figures });
    else terminal.stdout.write(table(COLUMNS, figures));
    return 0;
  },
});

/** @throws {UsageError} for a name that is none, {SchedulerError} for a file that is no profile. */
function hardwareOf(given: string): HardwareProfile {
  const name = HARDWARE.find((known) => known === given);
  if (name !== undefined) return hardwareProfiles[name];
  if (given.endsWith(".json")) return readHardware(readTextFile(given));
  throw unknown("hardware", given, [...HARDWARE, "a .json file"]);
}

const seconds = (ms: number): string =>
  ms < 1e6 ? (ms / 1000).toPrecision(3) : (ms / 1000).toFixed(0);
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

const COLUMNS: readonly Column<PolicyFigures>[] = [
  ["policy", ({ name }) => name],
  ["load", ({ load }) => `${load}`],
  ["steps", ({ steps }) => `${steps}`],
  ["preempted", ({ preemptions }) => `${preemptions}`],
  ["recomputed", ({ recomputedShare }) => percent(recomputedShare)],
  ["KV used", ({ kvUtilization }) => percent(kvUtilization)],
  ["tok/s", ({ tokPerS }) => tokPerS.toFixed(0)],
  ["good", ({ good }) => `${good}`],
  ["goodput/s", ({ goodput }) => goodput.toPrecision(3)],
  ["TTFT p50 s", ({ ttftMs }) => seconds(ttftMs.p50)],
  ["p95", ({ ttftMs }) => seconds(ttftMs.p95)],
  ["p99", ({ ttftMs }) => seconds(ttftMs.p99)],
  ["ITL p50 ms", ({ itlMs }) => itlMs.p50.toFixed(0)],
  ["p99", ({ itlMs }) => itlMs.p99.toFixed(0)],
];
