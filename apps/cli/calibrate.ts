/** `weft calibrate`: layer plans with their measured quality and speed, as a table and a file. */
import { existsSync, writeFileSync } from "node:fs";
import { type Calibration, calibrate as calibrateModel, readTasks } from "../../node.ts";
import { defineCommand, log, printJson, type Terminal } from "./command.ts";
import { loadOptions, modelOptions, openDevice, requiredModel } from "./model-options.ts";
import { UsageError } from "./option.ts";
import { flag, integer, text } from "./option-types.ts";
import { ProgressBar } from "./progress-bar.ts";
import { type Column, table } from "./table.ts";
import { readTextFile, requireFolder } from "./text-file.ts";

const OUT = "layer-plans.json";
/** Fewer tell nothing; more than any model needs. */
const [FEWEST, MOST] = [16, 65_536];

const options = {
  ...modelOptions,
  tasks: text("F.jsonl", 'lines like {"prompt":"1+1=","answer":"2"}, or with messages for prompt'),
  out: text("F.json", `where the plans are written for weft run; default ${OUT}`),
  tokens: integer(FEWEST, MOST, "that removals are judged by; default 512, without a GPU 128"),
  maxTokens: integer(1, MOST, "of an answer to a task; longer ones are wrong; default 512"),
  json: flag("one JSON object on stdout"),
};

type Policy = Calibration["policies"][number];

export const calibrate = defineCommand({
  name: "calibrate",
  summary: "layer-skip plans with their measured quality and speed",
  options,
  run: async (values, terminal) => {
    const model = requiredModel(values);
    const { out = OUT, tokens, maxTokens: maxAnswerTokens, json, tuned } = values;
    if (tuned)
      throw new UsageError("--tuned is for runs; calibrate without it, plans are the same");
    requireFolder(out, "--out");
    if (values.tasks !== undefined && !existsSync(values.tasks)) {
      throw new UsageError(`--tasks: there is no file ${values.tasks}; correct the path`);
    }
    const tasks = values.tasks && readTasks(readTextFile(values.tasks), values.tasks);
    const progress = new ProgressBar(terminal);
    const device = await openDevice(values, terminal);
    const { adapter, kind } = device.info;
    try {
      const found = await calibrateModel(device, model, {
        ...loadOptions(values, terminal),
        ...{ tokens, maxAnswerTokens, onLoad: progress.bytes },
        ...(tasks && { tasks }),
        onProgress: phaseLog(terminal, progress),
      });
      progress.clear();
      writeFileSync(out, `${JSON.stringify(found.file, undefined, 2)}\n`);
      if (json) printJson(terminal, { model, ...result(found), file: out, adapter, device: kind });
      else terminal.stdout.write(`${report(model, found)}\n`);
      log(terminal, `written to ${out}: weft run --layer-plans ${out} --layer-policy NAME`);
      return 0;
    } finally {
      progress.clear();
    }
  },
});

/** A bar on a terminal, a line for each phase elsewhere. */
function phaseLog(terminal: Terminal, bar: ProgressBar) {
  const startedMs = performance.now();
  return ({ phase, done, total }: { phase: string; done: number; total: number }) => {
    bar.count(phase, done, total);
    if (done < total) return;
    bar.clear();
    const seconds = (performance.now() - startedMs) / 1000;
    log(terminal, `${phase}: done after ${seconds.toFixed(1)} s`);
  };
}

function result({ layers, tokens, influence, policies, drafts, file }: Calibration) {
  const planOf = (name: string) => file.plans.find((plan) => plan.name === name)?.plan ?? null;
  const plans = policies.map(({ tasks, ...policy }) => ({
    ...policy,
    taskAccuracy: tasks?.accuracy ?? null,
    taskInterval: tasks?.interval ?? null,
    plan: planOf(policy.name),
  }));
  return { layers, tokens, plans, drafts, influence };
}

function report(model: string, { layers, policies, drafts, tokens }: Calibration): string {
  const hasTasks = policies.some(({ tasks }) => tasks !== undefined);
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  const accuracy: Column<Policy>[] = [
    ["right", ({ tasks }) => (tasks ? share(tasks.accuracy) : "–")],
    ["95 %", ({ tasks }) => (tasks ? tasks.interval.map(share).join(" to ") : "–")],
  ];
  const columns: Column<Policy>[] = [
    ["policy", ({ name }) => name],
    ["tokens", ({ lossless }) => (lossless ? "the same" : "others")],
    ["layers", ({ layersExecuted }) => `${layersExecuted}`],
    ["KL", ({ kl }) => kl.toFixed(4)],
    ["top 1", ({ top1Agreement }) => share(top1Agreement)],
    ...(hasTasks ? accuracy : []),
    ["tok/s", ({ decodeTokPerS }) => decodeTokPerS.toFixed(1)],
  ];
  const speedups = drafts.map(({ agreement, expectedSpeedup }) => {
    return `${share(agreement)} (${expectedSpeedup.toFixed(2)}×)`;
  });
  return [
    `${model}: ${layers} layers, on ${tokens} held-out tokens`,
    "",
    table(columns, policies),
    ...(speedups.length > 0
      ? [`drafts agree on ${speedups.join(", ")}; in brackets what speed that promises`]
      : []),
  ].join("\n");
}
