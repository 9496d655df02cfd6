// What decoding asks of the host in a model of 28 layers. Counts are in decode-counts.gpu.test.ts.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { project } from "../harness/project.ts";
import { report, scale } from "../harness/soak.ts";

const soaked = scale("host-work", 0, 1) === 1;

// Timed: what else the machine does would fail it, so the gate leaves it out.
test.runIf(soaked && project() === "lavapipe")(
  "host work of a step, beside the same GPU calls made bare (in soak, on lavapipe: it is timed)",
  async () => {
    const folder = mkdtempSync(join(process.cwd(), ".cache", "host-work-"));
    try {
      const outfile = join(folder, "main.mjs");
      await build({
        entryPoints: [join(import.meta.dirname, "..", "harness", "host-work-main.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        packages: "external",
      });
      const args = ["--expose-gc", outfile, "1", "12", "300"];
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      expect(stdout, stderr).not.toBe("");
      const work = JSON.parse(stdout);
      report("host-work", work);
      expect(work.ownUsPerDispatch).toBeLessThanOrEqual(1);
      expect(work.heapGrowthPer1000Tokens).toBeLessThan(16_000);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
