// The simulator against the engine: costs are fitted from one `weft bench serve` run, and other runs'
// figures predicted. Times of a real machine, so not in the gate: `npm run soak -- prediction`, with
// nothing else running.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { poissonArrivals, scaledTo, workload } from "../../apps/cli/serve-workload.ts";
import { type ModelPlan, planModel } from "../../runtime/load-model.ts";
import { ReferenceDevice } from "../../runtime/reference/device.ts";
import {
  distribution,
  gapsMs,
  type HardwareProfile,
  readHardware,
  replay,
  seededRandom,
  ttftMs,
} from "../../scheduler/index.ts";
import { demoFolder, nodePlatform } from "../engine/node-model.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { weftJson } from "./weft.ts";

const NAMES = ["ttftMs", "itlMs", "makespanMs"] as const;
/** Medians of the first two. */
type Figures = Readonly<Record<(typeof NAMES)[number], number>>;

const numRounds = scale("prediction", 0, 5);
const FITTED = { concurrency: [1, 4], requests: 16, longest: 256, seed: 1 };
const PREDICTED = { concurrency: [2, 8], load: 0.5, requests: 20, longest: 384, seed: 2 };
/** Of the draws of one simulation; figures are their medians. */
const SEEDS = Array.from({ length: 15 }, (_, seed) => seed);

const folder = mkdtempSync(join(tmpdir(), "weft-prediction-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.skipIf(numRounds === 0 || project() !== "lavapipe")(
  "figures of runs are predicted within a fifth, or as near as equal runs are (in soak, on lavapipe: it is timed)",
  async () => {
    const plan = await planModel(new ReferenceDevice(), demoFolder(), { maxRows: 16 });
    await plan.close();
    const runs = new Map<
      string,
      { measured: Figures[]; predicted: Figures[]; ofFirst: Figures[] }
    >();
    /** Of all cores' time, what other processes had: in each round. */
    const others: number[] = [];
    const profiles: HardwareProfile[] = [];
    for (let round = 0; round < numRounds; round++) {
      const before = processorMs();
      const file = join(folder, `${round}.json`);
      await bench(FITTED, "--profile", file);
      profiles.push(readHardware(readFileSync(file, "utf8")));
      const served = await bench(PREDICTED);
      for (const { load, concurrency, ...run } of served.runs) {
        const isClosed = load === "closed";
        const name = isClosed ? `${concurrency} clients` : `load ${load}`;
        const ofRun = runs.get(name) ?? { measured: [], predicted: [], ofFirst: [] };
        runs.set(name, ofRun);
        ofRun.measured.push({
          ...{ ttftMs: run.ttftMs.p50, itlMs: run.itlMs.p50 },
          makespanMs: run.makespanMs,
        });
        const loop = isClosed
          ? { clients: concurrency }
          : { perSecond: load * served.capacityRequestsPerS };
        ofRun.predicted.push(simulated(plan, profiles[round], loop));
        ofRun.ofFirst.push(simulated(plan, profiles[0], loop));
      }
      const after = processorMs();
      const ofOthers = after.all - before.all - (after.own - before.own);
      others.push(ofOthers / (after.elapsed - before.elapsed));
    }
    const lines = [...runs].flatMap(([run, { measured, predicted, ofFirst }]) =>
      NAMES.map((figure) => {
        const all = measured.map((of) => of[figure]);
        const ratioOf = (of: readonly Figures[]) =>
          median(of.map((one) => one[figure])) / median(all);
        const [least, most] = [Math.min(...all), Math.max(...all)];
        const ratio = ratioOf(predicted);
        const spread = (most - least) / median(all);
        return {
          ...{ run, figure, measured: median(all), predicted: ratio * median(all), ratio },
          ...{ spread, ratioOfFirstFit: ratioOf(ofFirst), all },
          isNear: Math.abs(ratio - 1) <= Math.max(0.2, spread),
        };
      }),
    );
    report("prediction", { fitted: FITTED, served: PREDICTED, others, lines, profiles });
    console.log(`others had ${others.map((share) => `${(100 * share).toFixed(0)} %`).join(", ")}`);
    for (const { run, figure, measured, predicted, ratio, spread } of lines)
      console.log(
        `${run}, ${figure}: measured ${measured.toFixed(1)}, predicted ${predicted.toFixed(1)}, ` +
          `ratio ${ratio.toFixed(2)}, spread of equal runs ${spread.toFixed(2)}`,
      );
    expect(lines.filter(({ isNear }) => !isNear)).toEqual([]);
  },
);

const bench = (work: typeof FITTED | typeof PREDICTED, ...more: string[]) =>
  weftJson([
    ...["bench", "serve", "--model", "demo", "--device", "gpu"],
    ...Object.entries(work).flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ...more,
  ]);

/** The workload, with the engine's own scheduler settings. */
function simulated(
  plan: ModelPlan,
  hardware: HardwareProfile,
  { clients, perSecond }: { clients?: number; perSecond?: number },
): Figures {
  const { requests: count, longest, seed } = PREDICTED;
  const lengths = scaledTo(longest, workload(undefined, count, seed));
  const arrivals = perSecond && poissonArrivals(count, perSecond, seededRandom(seed));
  const requests = lengths.map((request, i) => ({
    ...request,
    arrivalMs: arrivals ? arrivals[i] : 0,
    maxTokens: request.outputTokens,
  }));
  const { maxRows, maxTokensPerPlan, maxParkedTokens, kv } = plan;
  const policy = { maxRows, maxTokensPerPlan, maxParkedTokens, maxRunAhead: 8 };
  const figures = SEEDS.map((seed) => {
    const { requests: records, makespanMs } = replay(requests, {
      ...{ hardware, seed, clients },
      kvTokens: (kv.groups[0].numBlocks - 1) * kv.blockTokens,
      policy: { ...policy, quantumMs: nodePlatform.quantumMs },
    });
    const ttft = distribution(records.map((record) => ttftMs(record)!));
    return { ttftMs: ttft.p50, itlMs: distribution(gapsMs(records)).p50, makespanMs };
  });
  const [ttft, itl, makespan] = NAMES.map((name) => median(figures.map((one) => one[name])));
  return { ttftMs: ttft, itlMs: itl, makespanMs: makespan };
}

/** Processor milliseconds since the machine started, and those of this test and what it ran. */
function processorMs(): { all: number; own: number; elapsed: number } {
  const cores = cpus().map(({ times }) => times);
  const all = cores.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0);
  // After the name in brackets, the 14th and 15th are of children that have ended, in 10 ms.
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1].split(" ");
  const { user, system } = process.cpuUsage();
  const own = (user + system) / 1000 + 10 * (Number(fields[13]) + Number(fields[14]));
  return { all, own, elapsed: cores.length * performance.now() };
}

function median(values: readonly number[]): number {
  const ascending = [...values].sort((a, b) => a - b);
  return ascending[ascending.length >> 1];
}
