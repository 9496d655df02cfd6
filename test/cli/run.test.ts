// `weft run` on the reference device, as a process where that makes a difference.

import { describe, expect, test } from "vitest";
import { run } from "../../apps/cli/run.ts";
import { here } from "./terminal.ts";
import { GOLDEN, idsOf, tinyModel } from "./tiny-model.ts";
import { weft, weftJson } from "./weft.ts";

const MODEL = tinyModel();
const RUN = ["run", "--model", MODEL, "--device", "reference"];

const runJson = async (args: readonly string[]) =>
  JSON.parse((await here(run, [...RUN.slice(1), ...args, "--json"])).stdout);

test("streams text to stdout and figures to stderr", async () => {
  const { status, stdout, stderr } = await weft([...RUN, "--prompt", "Hello", "--max-tokens", "6"]);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^[^\n]+\n$/);
  expect(stderr).toMatch(/^6 tokens · .* tok\/s · .*reference/);
});

test("--json prints one object and nothing else", async () => {
  const args = [...RUN, "--prompt", "Hello", "--max-tokens", "5", "--temperature", "0"];
  const [result, likeliest] = await Promise.all([
    weftJson(args),
    weftJson([
      ...["logits", "--model", MODEL, "--device", "reference"],
      ...["--ids", idsOf("Hello").join(), "--positions", "last"],
    ]),
  ]);
  expect(Object.keys(result)).toEqual([
    ...["promptTokenIds", "tokenIds", "text", "finishReason", "usage", "timing"],
    ...["adapter", "device"],
  ]);
  expect(result.promptTokenIds).toEqual(idsOf("Hello"));
  expect(result.finishReason).toBe("length");
  expect(result.usage).toEqual({ promptTokens: 5, completionTokens: 5 });
  expect(result.tokenIds).toHaveLength(5);
  const { logits } = likeliest.positions[0];
  expect(result.tokenIds[0]).toBe(logits.indexOf(Math.max(...logits)));
  expect(result.device).toBe("reference");
  for (const name of ["loadMs", "ttftMs", "tpotMs", "decodeTokPerS", "prefillTokPerS"]) {
    expect(result.timing[name], name).toBeGreaterThan(0);
  }
});

test("a figure that cannot be told is null", async () => {
  const { tokenIds, timing } = await runJson(["--prompt", "Hi", "--max-tokens", "0"]);
  expect(tokenIds).toEqual([]);
  expect(timing).toMatchObject({ ttftMs: null, tpotMs: null, decodeTokPerS: null });
});

test("--chat goes through the template", async () => {
  const said = ["--chat", "--system", "Be kind", "--prompt", "Hi", "--max-tokens", "1"];
  const { promptTokenIds } = await runJson(said);
  expect(promptTokenIds).toEqual(idsOf("s:Be kind\nu:Hi\na:"));
});

test("the same seed gives the same tokens", async () => {
  const args = ["--prompt", "Hi", "--max-tokens", "8", "--temperature", "100", "--seed"];
  const runs = await Promise.all(["-7", "-7", "8"].map((seed) => runJson([...args, seed])));
  const [first, again, other] = runs.map(({ tokenIds }) => tokenIds);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});

describe("ends with 1 and says why", () => {
  test.each<[string, string[], RegExp]>([
    ["no tokenizer", ["--model", GOLDEN], /no file tokenizer\.json.*\(file_not_found\)/],
    ["no folder", ["--model", "/nowhere"], /\/nowhere.*\(file_not_found\)/],
    [
      "a budget too small",
      ["--model", MODEL, "--memory-budget", "100K"],
      /memoryBudgetBytes is 100000; weights need \d+.*give at least \d+.*memory_budget_too_small/,
    ],
    [
      "a request too long",
      ["--model", MODEL, "--max-tokens", "1000000"],
      /ask for at most \d+ new tokens.*\(request_too_long\)/,
    ],
  ])("%s", async (_, args, message) => {
    const { status, stdout, stderr } = await weft([
      ...["run", "--device", "reference", "--prompt", "Hi", "--json"],
      ...args,
    ]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(message);
  });

  // Only Vulkan's loader can be told to find nothing.
  test.runIf(process.platform === "linux")("no adapter", async () => {
    const env = { VK_DRIVER_FILES: "/nowhere.json", VK_ICD_FILENAMES: "/nowhere.json" };
    const args = ["run", "--model", MODEL, "--prompt", "Hi", "--max-tokens", "1"];
    const [gpu, auto] = await Promise.all([
      weft([...args, "--device", "gpu"], { env }),
      weft(args, { env }),
    ]);
    expect({ status: gpu.status, stdout: gpu.stdout }).toEqual({ status: 1, stdout: "" });
    expect(gpu.stderr).toMatch(/offers no adapter; .*reference.*\(no_adapter\)/);
    expect(auto.status).toBe(0);
    expect(auto.stderr).toMatch(/WARNING: going on with the reference device.*very slow/);
  });
});

const ENDLESS = [...RUN, "--prompt", "Hi", "--temperature", "0", "--max-tokens", "500"];

test("Ctrl-C ends it with 130 and a whole line", async () => {
  const onOutput = (process: { kill(signal: "SIGINT"): void }) => process.kill("SIGINT");
  const { status, stdout, stderr } = await weft(ENDLESS, { onOutput });
  expect({ status, stderr }).toEqual({ status: 130, stderr: "" });
  expect(stdout).toMatch(/[^\n]\n$/);
});

test("a reader that leaves ends it without a word", async () => {
  const onOutput = (process: { stopReading(): void }) => process.stopReading();
  const { status, stderr } = await weft(ENDLESS, { onOutput });
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
});
