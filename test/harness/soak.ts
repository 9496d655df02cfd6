// One test, two sizes: small in `npm test`, large in `npm run soak -- NAME`, which also keeps what
// the test measured in docs/results/soak-NAME.json.

import { inject, TestRunner } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** Name of the soak being run; empty in the gate. */
    "weft-soak": string;
  }
  interface TaskMeta {
    soak?: { name: string; data: Record<string, unknown> }[];
  }
}

/**
 * How much a test does. `npm run soak -- NAME` runs the files that call `scale("NAME", …)`, so the
 * name must be a literal.
 */
export function scale(name: string, gateN: number, soakN: number): number {
  return inject("weft-soak") === name ? soakN : gateN;
}

/**
 * Keep counts or figures of the running test for the soak's report; `data` must be plain JSON.
 * Outside that soak it does nothing.
 */
export function report(name: string, data: Record<string, unknown>): void {
  if (inject("weft-soak") !== name) return;
  const test = TestRunner.getCurrentTest();
  if (test === undefined) throw new Error(`report("${name}", …) was called outside a test`);
  test.meta.soak = [...(test.meta.soak ?? []), { name, data }];
}
