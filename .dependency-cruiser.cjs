// The import rule (docs/architecture.md): the folders and what each may import. Checked by
// test/boundaries.test.ts, which also checks that planted violations are found.

const INSIDE = "^(kernels|scheduler|models|runtime|apps|bench|tools|test|scripts|[\\w-]+\\.ts)";

/** Files of `folder` import nothing of the project but the named places. */
const only = (name, from, ...to) => ({
  name,
  severity: "error",
  from: { path: from },
  to: { path: INSIDE, pathNot: `^(${to.join("|")})` },
});

module.exports = {
  forbidden: [
    only("kernels-import-nothing", "^kernels/", "kernels/"),
    only("scheduler-imports-nothing", "^scheduler/", "scheduler/"),
    only("models-import-kernels", "^models/", "models/", "kernels/"),
    only(
      "runtime-imports-the-leaves",
      "^runtime/",
      "runtime/",
      "kernels/",
      "scheduler/",
      "models/",
    ),
    only(
      "tokenizer-stands-alone",
      "^runtime/tokenizer/",
      "runtime/tokenizer/",
      "runtime/errors\\.ts",
    ),
    only(
      "doors-import-the-runtime",
      "^(index|worker|engine-worker)\\.ts$",
      ...["runtime/", "kernels/", "scheduler/"],
    ),
    only(
      "doors-import-the-runtime",
      "^node\\.ts$",
      "runtime/",
      "kernels/",
      "scheduler/",
      "index\\.ts",
    ),
    // A door of an app is all that others see of it.
    only(
      "server-door-imports-its-app",
      "^server(-in-page)?\\.ts$",
      ...["apps/server/", "server\\.ts", "worker\\.ts"],
    ),
    only("doors-of-apps", "^(ai-sdk|prompt-api)\\.ts$", "apps/"),
    // The doors are the package's `exports`: the lab and the simulator have one each.
    only(
      "apps-use-the-public-doors",
      "^apps/",
      ...[
        "apps/",
        "index\\.ts",
        "node\\.ts",
        "worker\\.ts",
        "server\\.ts",
        "kernels/index\\.ts",
        "scheduler/index\\.ts",
      ],
    ),
    {
      name: "leaves-need-no-package",
      severity: "error",
      from: { path: "^(kernels|scheduler|models)/" },
      to: { pathNot: INSIDE },
    },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "imports-resolve", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    // Type-only imports are imports too.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "default"] },
    doNotFollow: { path: "node_modules" },
    // What the example is built into, by those who run it.
    exclude: { path: "^apps/electron/dist/" },
  },
};
