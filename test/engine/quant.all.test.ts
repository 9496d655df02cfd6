// The demo model with weights quantised while it is loaded, and with rows rounded to int8 besides: how near
// its answers stay to those of the stored weights, and of the same weights in f32. The gate compares logits; `npm run soak -- quant` counts right answers too.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderChat } from "../../index.ts";
import { createEngineWith } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import { loadModel } from "../../runtime/load-model.ts";
import type { LoadModelOptions } from "../../runtime/load-options.ts";
import type { ModelRunner } from "../../runtime/model-runner.ts";
import { TextModel } from "../../runtime/text-model.ts";
import { openDevice } from "../harness/device.ts";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";
import { logitsOf } from "../models/sequence-runner.ts";
import { type DemoCheck, isRight } from "./demo-checker.ts";
import { demoFolder, nodePlatform } from "./node-model.ts";

interface Item {
  readonly task: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools?: readonly object[];
  readonly enableThinking: boolean;
  readonly check: DemoCheck;
  readonly answer: string;
}
const items = readFileSync(new URL("../fixtures/demo/heldout.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line): Item => JSON.parse(line));

const kinds = {
  none: {},
  q8: { quant: "q8" },
  q4: { quant: "q4" },
  "q8, int8 rows": { quant: "q8", activations: "i8" },
  "q4, int8 rows": { quant: "q4", activations: "i8" },
} as const satisfies Record<string, LoadModelOptions>;
type Kind = keyof typeof kinds;
const numItems = scale("quant", 3, items.length);
/** As many of each task. */
const chosen = items.filter((_, i) => i % Math.floor(items.length / numItems) === 0);

const inSoak = numItems === items.length;
/** The kernels' own tests and the invariance test say that drivers compute the same bits. */
const isSkipped = project() === "swiftshader" || (project() === "lavapipe" && !inSoak);

describe.skipIf(isSkipped)(
  "the demo model, quantised (on lavapipe in soak only, not on SwiftShader: minutes)",
  () => {
    const engines = new Map<Kind, Engine>();
    const runners = new Map<Kind, ModelRunner>();
    const rows = new Map<string, Promise<Float32Array[]>>();
    let text: TextModel;
    beforeAll(async () => {
      text = await TextModel.open(demoFolder());
      for (const [kind, options] of Object.entries(kinds) as [Kind, LoadModelOptions][]) {
        if (inSoak || kind === "none") {
          const named = { ...options, device: await openDevice(), model: demoFolder() };
          engines.set(kind, await createEngineWith(nodePlatform, named));
        }
        const device = await openDevice();
        const sizes = { ...options, maxTokensPerPlan: 128, maxLogitRows: 128 };
        const { runner } = await loadModel(device, demoFolder(), sizes);
        await device.prepare(runner.pipelines);
        runners.set(kind, runner);
      }
    }, 300_000);
    afterAll(async () => {
      for (const engine of engines.values()) await engine.close();
      for (const { device } of runners.values()) device.destroy();
    });

    test.each([
      // Mean KL of the next token's distribution in nats, and how often the likeliest token is the same.
      ["q8", "none", { kl: 0.002, top1: 0.985 }],
      ["q4", "none", { kl: 0.15, top1: 0.85 }],
      ["q8, int8 rows", "q8", { kl: 0.002, top1: 0.97 }],
      ...(inSoak ? [["q4, int8 rows", "q4", { kl: 0.002, top1: 0.97 }] as const] : []),
    ] as const)(
      "%s beside %s: the next token's distribution stays near",
      async (kind, than, limits) => {
        const sum = { kl: 0, same: 0, positions: 0 };
        for (const item of chosen) {
          const answer = text.tokenizer.encode(item.answer, { addSpecialTokens: false });
          const ids = [...promptOf(item), ...answer];
          const [plain, near] = [await rowsOf(than, ids), await rowsOf(kind, ids)];
          for (const [i, logits] of plain.entries()) {
            const { kl, same } = compare(logits, near[i]);
            sum.kl += kl;
            sum.same += Number(same);
            sum.positions += 1;
          }
        }
        const kl = sum.kl / sum.positions;
        const top1 = sum.same / sum.positions;
        report("quant", { quant: kind, than, positions: sum.positions, kl, top1 });
        expect(kl).toBeLessThan(limits.kl);
        expect(top1).toBeGreaterThan(limits.top1);
      },
      scale("quant", 120_000, 3_600_000),
    );

    test.runIf(inSoak).each(Object.keys(kinds) as Kind[])(
      "%s: right answers, task by task (in soak only: minutes)",
      async (kind) => {
        const right: Record<string, number> = {};
        const engine = engines.get(kind)!;
        const answers = await Promise.all(chosen.map((item) => answer(engine, item)));
        for (const [i, { task, check }] of chosen.entries()) {
          right[task] = (right[task] ?? 0) + Number(isRight(check, answers[i]));
        }
        report("quant", { quant: kind, itemsPerTask: chosen.length / 6, right });
      },
      3_600_000,
    );

    function promptOf({ messages, tools, enableThinking }: Item): number[] {
      const chat_template_kwargs = { enable_thinking: enableThinking };
      return renderChat(engines.get("none")!, { messages, tools, chat_template_kwargs });
    }

    /** Computed once for what is compared twice. */
    function rowsOf(kind: Kind, ids: readonly number[]): Promise<Float32Array[]> {
      const key = `${kind} ${ids}`;
      const known = rows.get(key) ?? compute(kind, ids);
      rows.set(key, known);
      return known;
    }

    async function compute(kind: Kind, ids: readonly number[]): Promise<Float32Array[]> {
      const runner = runners.get(kind)!;
      const all = await logitsOf(runner, ids, 128);
      const { vocabSize: V } = runner.spec;
      return ids.map((_, i) => all.subarray(i * V, (i + 1) * V));
    }

    async function answer(engine: Engine, item: Item): Promise<string> {
      let answered = "";
      for await (const chunk of engine.generate({ prompt: promptOf(item), maxTokens: 200 }))
        answered += chunk.text;
      return answered;
    }
  },
);

function compare(expected: Float32Array, actual: Float32Array) {
  const [p, q] = [logSoftmax(expected), logSoftmax(actual)];
  const kl = p.reduce((sum, log, i) => sum + Math.exp(log) * (log - q[i]), 0);
  const top = (values: readonly number[]) => values.indexOf(Math.max(...values));
  return { kl, same: top(p) === top(q) };
}

function logSoftmax(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return Array.from(logits, (logit) => logit - most - total);
}
