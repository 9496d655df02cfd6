/** The lab as a page: settings, progress, the report, and its files. What is measured is lab.ts. */

import { createDevice, WeftError } from "../../index.ts";
import type { Kernel } from "../../kernels/index.ts";
import { gpuJs } from "./gpu-js.ts";
import { isSoftware, runLab } from "./lab.ts";
import { LAB_STYLE, labBody, labReport } from "./lab-report.ts";
import { modelShapes, tinyShape } from "./model-shapes.ts";
import { onnxruntime } from "./onnxruntime.ts";
import type { LabResult } from "./result.ts";
import { kernelsOf } from "./user-kernels.ts";

const find = <E extends HTMLElement>(selector: string): E => document.querySelector<E>(selector)!;
const form = find<HTMLFormElement>("#settings");
const status = find("#status span");
const bar = find<HTMLProgressElement>("#status progress");
let result: LabResult | undefined;

// The report looks as it does when downloaded.
document.head.append(Object.assign(document.createElement("style"), { textContent: LAB_STYLE }));
for (const { name } of modelShapes) {
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
  box.name = "shape";
  label.append(box, ` ${name}`);
  find("#shapes").append(label);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
for (const button of document.querySelectorAll<HTMLElement>("#downloads button")) {
  button.addEventListener("click", () => download(button.dataset.file === "json"));
}
/** A software adapter is offered what it can do in a minute. `?run` starts at once. */
async function suggest(): Promise<void> {
  const query = new URLSearchParams(location.search);
  try {
    const device = await createDevice();
    const software = isSoftware(device);
    status.textContent = device.info.adapter;
    device.destroy();
    const asked = query.get("shapes")?.split(",");
    for (const box of form.querySelectorAll<HTMLInputElement>("[name=shape]")) {
      box.checked = asked?.includes(box.value) ?? (box.value === tinyShape.name) === software;
    }
    control("quick").checked = query.has("quick") || software;
    control("filter").value = query.get("filter") ?? "";
    if (query.has("run")) await run();
  } catch (error) {
    fail(error);
  }
}

async function run(): Promise<void> {
  const device = await createDevice().catch(fail);
  if (!device) return;
  busy(true);
  try {
    const chosen = new FormData(form).getAll("shape");
    const shapes = modelShapes.filter(({ name }) => chosen.includes(name));
    if (shapes.length === 0) throw new Error("no shape is chosen; choose one");
    const others = control("others").checked;
    result = await runLab(device, {
      ...{ shapes, quick: control("quick").checked, filter: control("filter").value },
      userKernels: await userKernels(),
      opponents: others ? [await gpuJs(() => import("gpu.js")), await onnxruntime("/ort/")] : [],
      host: browserName(),
      onProgress: (stage, done, total) => {
        status.textContent = `${stage}: ${done} of ${total}`;
        bar.max = total;
        bar.value = done;
      },
    });
    find("main").innerHTML = labBody(result);
    find("#downloads").hidden = false;
    status.textContent = "Done.";
    // For whoever drives the page.
    Object.assign(globalThis, { labResult: result });
  } catch (error) {
    fail(error);
  } finally {
    device.destroy();
    busy(false);
  }
}

function control(name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

function busy(on: boolean): void {
  bar.hidden = !on;
  find<HTMLButtonElement>("#settings button").disabled = on;
}

function fail(error: unknown): undefined {
  const message = error instanceof WeftError || error instanceof Error ? error.message : `${error}`;
  status.textContent = message;
  Object.assign(globalThis, { labError: message });
}

/** A module that imports `weft-llm/kernels`, as the command line takes it. */
async function userKernels(): Promise<readonly Kernel[]> {
  const file = control("kernel").files?.[0];
  if (!file) return [];
  const url = URL.createObjectURL(new Blob([await file.text()], { type: "text/javascript" }));
  const kernels = kernelsOf(await import(/* @vite-ignore */ url));
  URL.revokeObjectURL(url);
  if (kernels.length > 0) return kernels;
  throw new Error(`${file.name} exports no kernel; export what defineKernel gives`);
}

function browserName(): string {
  const brands = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent);
  return brands ? `${brands[1].replace("Version", "Safari")} ${brands[2]}` : navigator.userAgent;
}

function download(json: boolean): void {
  if (!result) return;
  const text = json ? JSON.stringify(result, undefined, 2) : labReport(result);
  const type = json ? "application/json" : "text/html";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = json ? "weft-kernels.json" : "weft-kernels.html";
  link.click();
  URL.revokeObjectURL(link.href);
}

await suggest();
