// The engine suite: what a user may rely on, through any door to an engine. One function, so that
// Node, Chromium and a MessageChannel run the very same cases.

import { afterAll, afterEach, beforeAll, describe } from "vitest";
import type { KvStorage } from "../../kernels/kv-layout.ts";
import { groupBlockBytes } from "../../runtime/kv-cache.ts";
import { settled } from "./ask.ts";
import { aborting } from "./cases/aborting.ts";
import { answers } from "./cases/answers.ts";
import { batching } from "./cases/batching.ts";
import { completions } from "./cases/completions.ts";
import { ending } from "./cases/ending.ts";
import { refusals } from "./cases/refusals.ts";
import { sampling } from "./cases/sampling.ts";
import { several } from "./cases/several.ts";
import { stopping } from "./cases/stopping.ts";
import {
  MAX_ROWS,
  MAX_TOKENS_PER_PLAN,
  type OpenEngine,
  SMALL_BLOCKS,
  type Subject,
  type Subjects,
} from "./subject.ts";

export const groups = {
  answers,
  completions,
  sampling,
  several,
  stopping,
  refusals,
  aborting,
  batching,
  /** Last: it closes the engines. */
  ending,
} as const;

const OPEN_TIMEOUT_MS = 300_000;

interface SuiteOptions {
  readonly names?: readonly (keyof typeof groups)[];
  readonly abortRuns?: number;
  /** Every n-th plan takes back a running sequence; no reader may notice. */
  readonly forcePreemptionEvery?: number;
  /** KV cache of the second engine; f32 by default. */
  readonly otherKv?: KvStorage;
}

export function engineSuite(openEngine: OpenEngine, options: SuiteOptions = {}): void {
  const { names = Object.keys(groups) as (keyof typeof groups)[], abortRuns = 3 } = options;
  const { forcePreemptionEvery, otherKv = "f32" } = options;
  let opened: { main: Subject; other: Subject; small: Subject };

  beforeAll(async () => {
    const sizes = {
      maxTokensPerPlan: MAX_TOKENS_PER_PLAN,
      maxRows: MAX_ROWS,
      // On a slow device a quantum lets few start at once.
      quantumMs: Number.POSITIVE_INFINITY,
      forcePreemptionEvery,
    };
    const main = await openEngine({ ...sizes, kv: "f16" });
    const { device, plan } = main.engine;
    const blockBytes = groupBlockBytes(plan.kv.groups[0]);
    // One block more: the trash block.
    const memoryBudgetBytes =
      plan.weightBytes + plan.activationBytes + (SMALL_BLOCKS + 1) * blockBytes;
    opened = {
      main,
      // Without hits, so that one engine computes all of every prompt.
      other: await openEngine({ ...sizes, kv: otherKv, prefixCache: false }, device),
      small: await openEngine({ ...sizes, kv: "f16", memoryBudgetBytes }, device),
    };
  }, OPEN_TIMEOUT_MS);

  afterAll(async () => {
    for (const { door } of Object.values(opened ?? {})) await door.close();
  });

  const subjects: Subjects = {
    main: () => opened.main,
    other: () => opened.other,
    otherKv,
    small: () => opened.small,
    abortRuns,
    takesBack: forcePreemptionEvery !== undefined,
  };
  describe.each(names)("%s", (name) => {
    // Whatever a case did, it leaves nothing behind.
    afterEach(async () => {
      if (name === "ending") return;
      for (const subject of Object.values(opened)) await settled(subject);
    });
    groups[name](subjects);
  });
}
