/**
 * `weft bench kernels`: the kernel lab on this machine's adapter. Owns options, files and the table;
 * what is measured, and how, is apps/lab/.
 */
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Kernel } from "../../kernels/index.ts";
import { createDevice, type Device, dawnGpu, fileTuningCache } from "../../node.ts";
import { gpuJs } from "../lab/gpu-js.ts";
import { jobsOf } from "../lab/jobs.ts";
import { isSoftware, type LabOptions, runLab } from "../lab/lab.ts";
import { labReport } from "../lab/lab-report.ts";
import { labText } from "../lab/lab-text.ts";
import { type ModelShape, modelShapes, realShapes, tinyShape } from "../lab/model-shapes.ts";
import { absentOpponent } from "../lab/opponent.ts";
import {
  type LabTuningOptions,
  type LabTuningResult,
  tuneLab,
  tuningTasks,
} from "../lab/tuning.ts";
import { kernelsOf } from "../lab/user-kernels.ts";
import { defineCommand, log, printJson, type Terminal } from "./command.ts";
import { type Option, UsageError, unknown } from "./option.ts";
import { flag, text } from "./option-types.ts";
import { ProgressBar } from "./progress-bar.ts";
import { requireFolder } from "./text-file.ts";
import { tuneText } from "./tune-text.ts";

const NAMES = modelShapes.map(({ name }) => name);

const shapeList: Option<readonly ModelShape[]> = {
  value: "S,S,…",
  help: `of ${NAMES.join(", ")}; default all but tiny, on a software driver tiny alone`,
  parse: (given) =>
    given.split(",").map((part) => {
      const shape = modelShapes.find(({ name }) => name === part.trim());
      if (shape === undefined) throw unknown("shape", part.trim(), NAMES);
      return shape;
    }),
};

const options = {
  shapes: shapeList,
  filter: text("TEXT", "only kernels and roles whose name holds it, e.g. q4_0 or gate_up"),
  quick: flag("tiny shapes and few samples, in about a minute; the default on a software driver"),
  kernel: text("F.mjs", "a module that exports kernels of yours, to compare with ours"),
  alone: flag("without other libraries"),
  tune: flag("find the fastest shape of each matrix instead, and keep it for engines with --tuned"),
  report: text("F.html", "write plot and tables into this file"),
  json: flag("one JSON object on stdout"),
};

export const benchKernels = defineCommand({
  name: "bench kernels",
  summary: "each kernel's time, and its share of what the adapter can do",
  options,
  run: async (values, terminal) => {
    const { report, kernel } = values;
    if (values.tune && (report !== undefined || kernel !== undefined)) {
      throw new UsageError(
        "--tune measures our matrices and prints a table; leave --report and --kernel out",
      );
    }
    if (report !== undefined) requireFolder(report, "--report");
    const userKernels = kernel === undefined ? [] : await importKernels(kernel);
    const device = await createDevice("gpu");
    const progress = new ProgressBar(terminal);
    try {
      const quick = values.quick === true || (isSoftware(device) && values.shapes === undefined);
      const selection = {
        shapes: values.shapes ?? (quick ? [tinyShape] : realShapes),
        ...{ quick, filter: values.filter, signal: terminal.signal },
      };
      if (values.tune) return await tune(device, selection, terminal, values.json === true);
      if (jobsOf(device, { ...selection, userKernels }).length === 0) {
        throw noneHolds(values.filter);
      }
      const result = await runLab(device, {
        ...{ ...selection, userKernels },
        opponents: values.alone ? [] : await opponents(),
        host: `Node ${process.versions.node}`,
        onProgress: (stage, done, total) => progress.count(`${stage}:`, done, total),
      });
      progress.clear();
      if (report !== undefined) writeFileSync(report, labReport(result));
      if (values.json) printJson(terminal, result);
      else terminal.stdout.write(labText(result));
      for (const { variant, problem } of result.kernels) {
        if (problem) log(terminal, `weft: WARNING: ${variant} is wrong here: ${problem}`);
      }
      return result.kernels.some(({ problem, source }) => problem && source === "weft") ? 1 : 0;
    } finally {
      progress.clear();
      device.destroy();
    }
  },
});

async function tune(
  device: Device,
  selection: Omit<LabTuningOptions, "cache">,
  terminal: Terminal,
  json: boolean,
): Promise<number> {
  const { adapter } = device.info;
  const onWarning = (message: string) => log(terminal, `weft: WARNING: ${message}`);
  const options = { ...selection, cache: fileTuningCache({ onWarning }) };
  const tasks = tuningTasks(options);
  if (tasks.length === 0) throw noneHolds(selection.filter);
  const progress = new ProgressBar(terminal);
  const results: LabTuningResult[] = [];
  try {
    for await (const result of tuneLab(device, tasks, options)) {
      results.push(result);
      const done = tasks.findIndex(
        (task) => task.role === result.role && task.model === result.model,
      );
      progress.count("matrices:", done, tasks.length);
    }
  } finally {
    progress.clear();
  }
  if (isSoftware(device)) {
    log(
      terminal,
      "weft: this adapter is software: it shows that tuning works, and nothing about a GPU",
    );
  }
  if (json) printJson(terminal, { adapter, tuned: results });
  else terminal.stdout.write(tuneText(adapter, results));
  return 0;
}

const noneHolds = (filter: string | undefined): UsageError =>
  new UsageError(`no kernel's name or role holds ${JSON.stringify(filter)}; try --filter matmul`);

const opponents = async (): Promise<LabOptions["opponents"]> => [
  await gpuJs(() => import("gpu.js"), dawnGpu),
  absentOpponent(
    "onnxruntime-web",
    "its WebGPU provider runs in browsers alone; open the lab's page (npm run lab)",
  ),
];

/** @throws {UsageError} */
async function importKernels(path: string): Promise<readonly Kernel[]> {
  if (!existsSync(path)) {
    throw new UsageError(`--kernel: there is no file ${path}; correct the path`);
  }
  let module: Record<string, unknown>;
  try {
    module = await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new UsageError(`--kernel: ${path} cannot be imported: ${reason}`);
  }
  const kernels = kernelsOf(module);
  if (kernels.length > 0) return kernels;
  throw new UsageError(
    `--kernel: ${path} exports no kernel; export what defineKernel of weft-llm/kernels gives`,
  );
}
