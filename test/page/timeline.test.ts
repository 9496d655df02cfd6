// The engine's own trace and metrics as lanes and rates.

import { expect, test } from "vitest";
import { clientOf } from "../../apps/page/labels.ts";
import { Rates } from "../../apps/page/rates.ts";
import { lanesOf, planSlices } from "../../apps/page/timeline.ts";
import { timelineAt } from "../../apps/page/timeline-drawing.ts";
import { engineMetrics } from "../../runtime/engine-metrics.ts";
import type { SequenceStart } from "../../runtime/live-sequence.ts";
import { Telemetry } from "../../runtime/telemetry.ts";
import { traceOf } from "../../runtime/trace.ts";
import { Scheduler, type WorkPlan } from "../../scheduler/index.ts";

class Loop {
  nowMs = 0;
  #planId = 0;
  readonly telemetry = new Telemetry({
    ...{ numStages: 4, model: "test", adapter: "none", now: () => this.nowMs },
    scheduler: new Scheduler({ numLayers: 1, kvGroups: [{ kind: "full", numBlocks: 9 }] }),
  });

  add(id: number, client: string, priority: "interactive" | "background"): void {
    const start = { promptIds: [1, 2, 3], scheduling: { client, priority } };
    this.telemetry.onAdd(id, start as unknown as SequenceStart, this.nowMs);
  }

  /** A plan of 10 ms, submitted now. */
  run(
    rows: readonly (readonly [id: number, from: number, to: number])[],
    preempted: number[] = [],
  ) {
    const plan: WorkPlan = {
      ...{ id: this.#planId++, preempted, copies: [], swapOut: [], swapIn: [], predictedMs: 10 },
      submissions: [{ to: 4, predictedMs: 10 }],
      rows: rows.map(([sequenceId, from, to]) => ({
        ...{ sequenceId, tokens: { from, to }, stages: { from: 0, to: 4 } },
        ...{ kind: "compute", sample: true, blockTables: [] },
      })),
    };
    this.telemetry.onPlan(plan, this.nowMs);
    const submittedMs = this.nowMs;
    this.nowMs += 10;
    const times = { submittedMs, gpuMs: 10, readMs: this.nowMs, submissionMs: [10] };
    this.telemetry.onCommit(
      plan,
      times,
      rows.map(() => 1),
    );
  }
}

/** A story gives way to somebody who asks, and goes on when he has his answer. */
function served(): Loop {
  const loop = new Loop();
  loop.add(1, "load 10", "background");
  loop.run([[1, 0, 3]]);
  loop.run([[1, 3, 4]]);
  loop.add(2, "A", "interactive");
  loop.run([[2, 0, 3]], [1]);
  loop.run([[2, 3, 4]]);
  loop.telemetry.onEnd(2, "finished", loop.nowMs);
  loop.run([[1, 0, 4]]);
  loop.add(3, "load 2", "background");
  loop.run([
    [1, 4, 5],
    [3, 0, 3],
  ]);
  return loop;
}

test("two tabs of one worker have an A each", () => {
  const loop = new Loop();
  loop.add(1, clientOf("A"), "interactive");
  loop.add(2, "A@other", "interactive");
  loop.nowMs += 10;
  const lanes = lanesOf(traceOf(loop.telemetry.traced()));
  expect(lanes.map(({ client }) => client)).toEqual(["A", "A′"]);
});

test("a lane has its client's requests, and a request its phases", () => {
  const trace = traceOf(served().telemetry.traced());
  const lanes = lanesOf(trace);
  expect(lanes.map(({ client }) => client)).toEqual(["A", "load 2", "load 10"]);
  const [[a], , [story]] = lanes.map(({ requests }) => requests);
  expect(a).toMatchObject({ id: 2, priority: "interactive", promptTokens: 3, hasEnded: true });
  expect(story).toMatchObject({ id: 1, priority: "background", preemptions: 1, hasEnded: false });
  expect(story.slices.map(({ phase, fromMs, toMs }) => [phase, fromMs, toMs])).toEqual([
    ["queued", 0, 0],
    ["prefill", 0, 10],
    ["decode", 10, 20],
    ["preempted", 20, 40],
    ["prefill", 40, 50],
    ["decode", 50, 60],
  ]);
  expect(planSlices(trace).map(({ rows, preempted }) => [rows, preempted])).toEqual([
    ...[
      [1, 0],
      [1, 0],
      [1, 1],
      [1, 0],
      [1, 0],
    ],
    [2, 0],
  ]);
});

test("a pointer is told what lies under it", () => {
  const { nowMs, telemetry } = served();
  const trace = traceOf(telemetry.traced());
  const lanes = lanesOf(trace);
  const size = { width: 1068, height: 200 };
  const data = { ...size, nowMs: nowMs + 9940, plans: planSlices(trace), lanes };
  // 68 pixels of names, then ten to a tenth of a second; it all began at the left edge.
  const at = (ms: number, y: number) => timelineAt(data, 68 + ms / 10, y);
  expect(at(25, 10)).toBe("1 row, 3 tokens, 10 ms, 1 taken back");
  expect(at(25, 34 + 2 * 18 + 9)).toBe("request 1 of load 10, background: preempted, 20 ms");
  expect(at(35, 34 + 9)).toBe("request 2 of A, interactive: decode, 10 ms");
  expect([at(45, 34 + 9), at(25, 150), timelineAt(data, 10, 10)]).toEqual(["", "", ""]);
});

test("rates are means over two seconds, and a plan that lasts longer does not end them", () => {
  const loop = new Loop();
  const rates = new Rates();
  const look = () =>
    rates.add(engineMetrics(...loop.telemetry.measured), traceOf(loop.telemetry.traced()));
  look();
  expect(rates.latest).toBeUndefined();
  loop.add(1, "A", "interactive");
  loop.add(2, "B", "interactive");
  for (let token = 3; token < 53; token++)
    loop.run([
      [1, token, token + 1],
      [2, token, token + 1],
    ]);
  look();
  // 100 tokens in half a second, two rows at a time.
  expect(rates.latest).toEqual({ atS: 0.5, tokensPerS: 200, rows: 2 });
  loop.nowMs += 5000;
  const metrics = engineMetrics(...loop.telemetry.measured);
  const busy = { ...metrics, now: { ...metrics.now, plansInFlight: 1 } };
  rates.add(busy, traceOf(loop.telemetry.traced()));
  expect(rates.latest).toMatchObject({ rows: 2 });
  loop.nowMs += 1000;
  look();
  expect(rates.latest).toMatchObject({ tokensPerS: 0, rows: 0 });
  expect(rates.peak("tokensPerS")).toBe(200);
  loop.nowMs += 60_001;
  look();
  expect(rates.samples).toHaveLength(1);
});
