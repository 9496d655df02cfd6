// Four projects: `reference` has no GPU; `lavapipe` and `swiftshader` are Dawn in Node on one
// software Vulkan driver each; `chromium` is headless Chromium on SwiftShader. A file's name says
// where it runs:
//
//   *.test.ts          reference
//   *.gpu.test.ts      lavapipe, swiftshader
//   *.all.test.ts      reference, lavapipe, swiftshader
//   *.browser.test.ts  chromium
//
// A project whose driver set-up did not find is left out here and reported as absent.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { playwright } from "@vitest/browser-playwright";
import type { TestProjectInlineConfiguration } from "vitest/config";
import { defineConfig } from "vitest/config";
import { driverEnvironment, readState } from "./scripts/setup/state.mjs";
import { setup } from "./scripts/setup.mjs";
import { ReferenceLast } from "./test/harness/sequencer.ts";
import { type AbsentProjects, SummaryReporter } from "./test/harness/summary-reporter.ts";

const soak = process.env.WEFT_SOAK ?? "";
const HOUR_MS = 3_600_000;
// `npm test` has set up already; what it could not get is not tried for again.
const known = readState();
const state = known?.purpose === "test" ? known : await setup({ purpose: "test" });
const { drivers, chromium, missing } = state;

const absent: AbsentProjects = {};
const projects: TestProjectInlineConfiguration[] = [
  {
    extends: true,
    test: {
      name: "reference",
      include: ["test/**/*.test.ts"],
      exclude: ["test/**/*.{gpu,browser}.test.ts", "test/fixtures/**"],
      // Most of its files end sooner than a process starts and imports what they share; a file leaves
      // nothing behind. In a soak, which measures heaps and times, each has its own.
      isolate: soak !== "",
      provide: { "weft-project": "reference", "weft-soak": soak },
    },
  },
];

for (const name of ["lavapipe", "swiftshader"] as const) {
  const driver = drivers[name];
  if (driver === null) {
    absent[name] = missing[name] ?? "not found";
    continue;
  }
  projects.push({
    extends: true,
    test: {
      name,
      include: ["test/**/*.{gpu,all}.test.ts"],
      exclude: ["test/fixtures/**"],
      setupFiles: ["test/harness/setup-file.ts"],
      // In the environment of the forked process, where the Vulkan and dynamic loaders read it.
      env: driverEnvironment(driver),
      provide: { "weft-project": name, "weft-soak": soak },
    },
  });
}

if (chromium === null) absent.chromium = missing.chromium ?? "not found";
else {
  projects.push({
    extends: true,
    test: {
      // The instance below bears the name `chromium`; vitest wants another here.
      name: "browser",
      include: ["test/**/*.browser.test.ts"],
      exclude: ["test/fixtures/**"],
      setupFiles: ["test/harness/setup-file.ts"],
      provide: { "weft-project": "chromium", "weft-soak": soak },
      // Behind the others in a soak: browsers do not count as workers, and soaks may time.
      sequence: { groupOrder: soak === "" ? 0 : 1 },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        instances: [{ browser: "chromium", name: "chromium" }],
        provider: playwright({
          launchOptions: {
            executablePath: chromium.path,
            env: { ...process.env, ...chromium.env },
            args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
          },
        }),
      },
    },
  });
}

/** As `paths` of tsconfig.json: the package's doors by the names that users import. */
const door = (name: string) => ({
  find: name === "index" ? "weft-llm" : `weft-llm/${name}`,
  replacement: join(import.meta.dirname, `${name}.ts`),
});

export default defineConfig({
  // The first that is the whole name or its beginning is taken.
  resolve: { alias: ["node", "server", "worker", "index"].map(door) },
  test: {
    projects,
    pool: "forks",
    // One more than two cores: files wait, for a driver's answer or a process of their own, a fifth of
    // their time. In a soak, which may time, there are no more than cores.
    maxWorkers: Math.min(2, availableParallelism()) + (soak === "" ? 1 : 0),
    sequence: { sequencer: ReferenceLast },
    testTimeout: soak ? HOUR_MS : 60_000,
    hookTimeout: soak ? HOUR_MS : 60_000,
    reporters: ["default", new SummaryReporter(absent)],
    passWithNoTests: false,
  },
});
