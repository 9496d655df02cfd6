/**
 * `weft bench serve`: what many readers at once see of an engine as it serves. Closed loop by the
 * number of clients, open loop by the load; the figures are docs/metrics.md's, at the reader's end.
 */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { TraceRequest } from "../../scheduler/index.ts";
import { defineCommand, log, printJson } from "./command.ts";
import { layerPolicyOf, layerPolicyOptions } from "./layer-policy-option.ts";
import { modelOptions, openEngine } from "./model-options.ts";
import { flag, integer, integers, numbers, text } from "./option-types.ts";
import { PlanMeter } from "./plan-meter.ts";
import { ServeBench, type ServeRun } from "./serve-run.ts";
import { longestOf, scaledTo, workload } from "./serve-workload.ts";
import { type Column, table } from "./table.ts";
import { requireFolder } from "./text-file.ts";

const CLOSED = [1, 2, 4, 8, 16];
const MANY = Number.MAX_SAFE_INTEGER;
/** Of the built-in workload, whose own would keep a small GPU busy for long. */
const LONGEST = 1024;

const options = {
  ...modelOptions,
  concurrency: integers(1, 256, `clients that ask again at once, a run each; ${CLOSED.join(",")}`),
  load: numbers(0.01, 100, "Poisson arrivals, a run each, over what the most clients were served"),
  trace: text("F", "lengths of an Azure CSV or Mooncake JSONL, also .gz; default built in"),
  requests: integer(1, 100_000, "of each run; default 4 for each client, at least 16"),
  longest: integer(2, MANY, "tokens of the longest request, all scaled alike; built-in: 1024"),
  profile: text("F.json", "write what plans cost here, for weft simulate --hardware F.json"),
  seed: integer(0, MANY, "of lengths, prompts and arrivals; default 0"),
  ...layerPolicyOptions,
  json: flag("one JSON object on stdout"),
};

export const benchServe = defineCommand({
  name: "bench serve",
  summary: "speed, latency and fairness while many requests are served at once",
  options,
  run: async (values, terminal) => {
    const { model = "demo", seed = 0, load: loads = [], trace, longest, profile } = values;
    if (profile !== undefined) requireFolder(profile, "--profile");
    const { layerPolicy, engineOptions } = layerPolicyOf(values);
    const concurrency = values.concurrency ?? (loads.length > 0 ? [Math.max(...CLOSED)] : CLOSED);
    const most = Math.max(...concurrency);
    const numRequests = (clients: number) => values.requests ?? Math.max(16, 4 * clients);
    const meter = new PlanMeter();
    const lengths = workload(trace, numRequests(most), seed);
    const { engine } = await openEngine({ ...values, model }, terminal, {
      maxRows: Math.max(16, most),
      onRead: meter.onRead,
      ...engineOptions,
    });
    try {
      const { adapter, kind: device } = engine.device.info;
      const { maxContext } = engine.plan;
      const asked = longest ?? (trace === undefined ? LONGEST : maxContext);
      const requests = scaledTo(Math.min(asked, maxContext), lengths);
      const about = {
        ...{ adapter, device, model, seed },
        trace: trace === undefined ? "built-in" : basename(trace),
        longest: longestOf(requests),
        ...(layerPolicy && { layerPolicy }),
      };
      const { trace: name, longest: tokens } = about;
      const workloadLine = `model ${model}, workload ${name} up to ${tokens} tokens, seed ${seed}`;
      log(terminal, workloadLine);
      const bench = new ServeBench(engine, terminal, { seed, layerPolicy });
      const runs: ServeRun[] = [];
      for (const clients of concurrency) {
        log(terminal, `${clients} at once`);
        await bench.warmUp(clients);
        const some = requests.slice(0, numRequests(clients));
        runs.push(await meter.during(() => bench.closed(some, clients)));
      }
      const capacity = requestsPerS(runs, requests);
      for (const load of loads) {
        log(terminal, `load ${load}: ${(load * capacity).toPrecision(3)} requests per second`);
        runs.push(await meter.during(() => bench.open(requests, load, load * capacity)));
      }
      if (values.json) printJson(terminal, { ...about, capacityRequestsPerS: capacity, runs });
      else terminal.stdout.write(`${adapter}\n${workloadLine}\n${table(COLUMNS, runs)}`);
      // Last: what was measured is told, even if it is too little for a profile.
      if (profile !== undefined)
        writeFileSync(profile, `${JSON.stringify(meter.hardware(engine.plan))}\n`);
      return 0;
    } finally {
      await engine.close();
    }
  },
});

/** Capacity: what the most clients were served, in requests of mean length. */
function requestsPerS(runs: readonly ServeRun[], requests: readonly TraceRequest[]): number {
  const { aggregateTokPerS } = runs.reduce((a, b) => (b.concurrency > a.concurrency ? b : a));
  const tokens = requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  return (aggregateTokPerS * requests.length) / tokens;
}

const whole = (value: number): string => value.toFixed(0);

const COLUMNS: readonly Column<ServeRun>[] = [
  ["load", ({ load }) => `${load}`],
  ["at once", ({ concurrency }) => `${concurrency}`],
  ["requests", ({ requests }) => `${requests}`],
  ["tok/s", ({ aggregateTokPerS }) => aggregateTokPerS.toFixed(1)],
  ["good", ({ attainment }) => `${(100 * attainment).toFixed(0)} %`],
  ["goodput/s", (run) => run.goodput.toPrecision(3)],
  ["TTFT p50 ms", (run) => whole(run.ttftMs.p50)],
  ["p95", (run) => whole(run.ttftMs.p95)],
  ["p99", (run) => whole(run.ttftMs.p99)],
  ["ITL p50 ms", (run) => run.itlMs.p50.toFixed(1)],
  ["p99", (run) => run.itlMs.p99.toFixed(1)],
  ["preempted", ({ preemptions }) => `${preemptions}`],
  ["GPU busy", ({ gpuBusy }) => `${(100 * gpuBusy).toFixed(0)} %`],
  ["Jain", ({ jain }) => jain.toFixed(3)],
];
