// The parts of bench/compare that run nothing: arguments, protocol, proofs of backends, ratios, table.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { assertBackend, type Evidence, NotRunnable } from "../../bench/compare/evidence.mjs";
import { readOptions, UsageError } from "../../bench/compare/options.mjs";
import type { Row } from "../../bench/compare/participant.mjs";
import {
  agreeing,
  CONCURRENCIES,
  promptsOf,
  speedsOf,
  spread,
  timedBatches,
  type Word,
} from "../../bench/compare/protocol.mjs";
import { ratiosOf } from "../../bench/compare/ratios.mjs";
import { SUBJECTS } from "../../bench/compare/subjects.mjs";
import { tableOf } from "../../bench/compare/table.mjs";

const MAIN = join(import.meta.dirname, "..", "..", "bench", "compare", "main.mjs");

describe("arguments", () => {
  test.each([
    [["--sizes", "5m,7m"], '--sizes names "7m"'],
    [["--repeats", "2"], "from 3 to 20"],
    [["--gen", "1"], "from 2 to 2048"],
    [["--prompt", "2000", "--gen", "100"], "2100 positions"],
    [["--subjects", "weft"], '--subjects names "weft"'],
    [["--size", "5m"], "--size"],
    [["5m"], "5m"],
  ])("%j is refused", (args, part) => {
    expect(() => readOptions(args)).toThrow(UsageError);
    expect(() => readOptions(args)).toThrow(part);
  });

  test("a subject is left out unless named", () => {
    const { subjects, sizes } = readOptions(["--subjects", "weft-node", "--sizes", "5m"]);
    expect([subjects.map(({ name }) => name), sizes]).toEqual([["weft-node"], ["5m"]]);
    expect(readOptions([]).subjects).toEqual(SUBJECTS);
  });

  test("the command ends with status 2", () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, "--sizes", "7m"], {
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([2, expect.stringContaining("5m, 25m, 100m, 500m")]);
  });
});

describe("protocol", () => {
  const words: Word[] = Array.from({ length: 500 }, (_, i) => [100 + i, ` w${i}`]);
  const promptTokens = 12;

  test("prompts of a sitting share only the start token", () => {
    const prompts = [0, 1, 2, 3, 4, 21].flatMap((round) =>
      CONCURRENCIES.flatMap((concurrency) =>
        promptsOf(words, { round, concurrency, promptTokens }),
      ),
    );
    expect(prompts).toHaveLength(6 * 9);
    expect(new Set(prompts.map(({ ids }) => ids[1])).size).toBe(prompts.length);
    for (const { ids, text } of prompts) {
      expect([ids[0], ids.length]).toEqual([1, promptTokens]);
      expect(text).toBe(
        ids
          .slice(1)
          .map((id) => ` w${id - 100}`)
          .join(""),
      );
    }
  });

  test("more prompts than words are refused", () => {
    const few = words.slice(0, 20);
    expect(() => promptsOf(few, { round: 2, concurrency: 1, promptTokens })).toThrow("--repeats");
  });

  test("every subject is timed in every round, backwards in every second", () => {
    const batches = timedBatches(["a", "b"], 3);
    expect(batches).toHaveLength(3 * CONCURRENCIES.length * 2);
    const order = batches.filter(({ concurrency }) => concurrency === 8).map((b) => b.subject);
    expect(order.join("")).toBe("abbaab");
  });

  test("speeds of one request and of several", () => {
    const stream = { firstMs: 500, lastMs: 2000, ids: [5, 6, 7, 8] };
    const lengths = { promptTokens: 100, genTokens: 4 };
    expect(speedsOf({ wallMs: 2500, streams: [stream] }, lengths)).toEqual({
      prefillTokPerS: 200,
      decodeTokPerS: 2,
      aggregateTokPerS: 1.6,
    });
    expect(speedsOf({ wallMs: 4000, streams: [stream, stream] }, lengths)).toEqual({
      aggregateTokPerS: 2,
    });
  });

  test("another number of tokens is no figure", () => {
    const streams = [{ firstMs: 1, lastMs: 2, ids: [5, 6, 7] }];
    expect(() => speedsOf({ wallMs: 3, streams }, { promptTokens: 9, genTokens: 4 })).toThrow(
      "generated 3 tokens where 4",
    );
  });

  test("medians and agreement", () => {
    expect(spread([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 });
    expect(spread([4, 1, 3, 2]).median).toBe(2.5);
    expect([agreeing([1, 2, 9], [1, 2, 3]), agreeing([1, 2], [1, 2])]).toEqual([2, 2]);
  });
});

describe("backends", () => {
  const evidence: Evidence = {
    info: {},
    log: [],
    adapter: "swiftshader",
    f16: false,
    submissions: 9,
    drivers: ["libvulkan_lvp.so"],
  };
  const prove = (name: string, found: Partial<Evidence>, driver = "libvulkan_lvp.so") => {
    const subject = SUBJECTS.find((one) => one.name === name);
    if (!subject) throw new Error(`no subject ${name}`);
    return assertBackend(subject, { ...evidence, ...found }, driver);
  };
  const placed = (provider: string, operator: string) => [
    `[V:onnxruntime:, session_state.cc:1383 VerifyEachNodeIsAssignedToAnEp]  Node(s) placed on [${provider}]. Number of nodes: 1`,
    `[V:onnxruntime:, session_state.cc:1385 VerifyEachNodeIsAssignedToAnEp]   ${operator} ()`,
  ];
  const onGpu = placed("WebGpuExecutionProvider", "MatMul");
  const shapes = placed("CPUExecutionProvider", "Gather");

  test("proved", () => {
    expect(prove("weft-node", { info: { backend: "gpu" } })).toBe("WebGPU (Dawn)");
    expect(prove("transformers-node-q4", { log: [...onGpu, ...shapes] })).toBe("WebGPU (Dawn)");
    expect(prove("transformers-chromium-q4", { log: onGpu })).toBe("WebGPU (Chromium)");
    expect(prove("wllama-wasm", { info: { threads: 2 } })).toBe("wasm, threads: 2");
    const log = ["load_tensors: WebGPU model buffer size = 5 MiB"];
    expect(prove("wllama-webgpu", { log })).toBe("WebGPU");
  });

  test.each<[string, Partial<Evidence>, string]>([
    ["weft-node", { info: { backend: "reference" } }, "used reference"],
    ["weft-chromium", { info: { backend: "gpu" }, submissions: 0 }, "submitted nothing"],
    [
      "transformers-node-q4",
      { log: onGpu, drivers: ["libvk_swiftshader.so"] },
      "libvk_swiftshader",
    ],
    ["transformers-node-q4", { log: [] }, "names no node"],
    [
      "transformers-node-q4",
      { log: [...onGpu, ...placed("CPUExecutionProvider", "MatMulNBits")] },
      "MatMulNBits on the processor",
    ],
    [
      "transformers-node-q4",
      {
        log: ["session_state.cc  All nodes placed on [CPUExecutionProvider]. Number of nodes: 58"],
      },
      "on the processor",
    ],
    ["wllama-webgpu", {}, "shader-f16, which swiftshader lacks"],
    ["node-llama-cpp", { info: { backend: "vulkan" } }, "used vulkan"],
  ])("%s: %j is not runnable", (name, found, part) => {
    expect(() => prove(name, found)).toThrow(NotRunnable);
    expect(() => prove(name, found)).toThrow(part);
  });
});

describe("table", () => {
  const one = (value: number) => ({ median: value, min: value, max: value });
  const row = (subject: string, peer: string, decode: number, weights = "f16"): Row => ({
    subject,
    peer,
    size: "5m",
    host: "node",
    weights,
    backend: "WebGPU (Dawn)",
    adapter: "llvmpipe",
    prefillTokPerS: one(2 * decode),
    decodeTokPerS: one(decode),
    aggregateTokPerS: { 1: one(decode), 8: one(4 * decode) },
    coldFirstTokenMs: 1234,
  });
  const rows = [
    row("weft-node", "Weft", 60),
    row("transformers-node-fp32", "transformers.js", 20, "fp32"),
    row("transformers-node-q4", "transformers.js", 30, "q4"),
    { ...row("elsewhere", "transformers.js", 999), host: "chromium" },
  ];

  test("ratios are with the rival on the same host whose weights are as wide", () => {
    const ratios = ratiosOf(rows).map(({ what, measured }) => [what, measured]);
    expect(ratios).toEqual([
      ["decode", 3],
      ["8 at once, over its decode of one", 12],
      ["8 at once, over its 8", 3],
      ["8 at once, over Weft's decode of one", 4],
      ["prefill", 3],
    ]);
    expect(ratiosOf(rows.slice(0, 1)).map(({ what }) => what)).toEqual([
      "8 at once, over Weft's decode of one",
    ]);
  });

  test("figures are rows, and what has none is named with its reason", () => {
    const failed: Row = { ...rows[1], failed: "no answer" };
    const missing: Row = { ...rows[2], notRunnable: "no shader-f16" };
    const text = tableOf([rows[0], failed, missing]);
    expect(text).toContain(
      "| 5m | weft-node | WebGPU (Dawn), llvmpipe | f16 | 120 | 60.0 | 240 | 1.23 |  |  |",
    );
    expect(text).toContain("- transformers-node-fp32 (5m): failed: no answer");
    expect(text).toContain("- transformers-node-q4 (5m): not runnable here: no shader-f16");
    expect(text).not.toContain("| transformers-node-");
  });
});
