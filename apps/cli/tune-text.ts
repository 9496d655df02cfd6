/** What tuning found, as lines of text: the standard shape against the tuned one. */
import { figure } from "../lab/figure.ts";
import type { LabTuningResult } from "../lab/tuning.ts";
import { table } from "./table.ts";

export function tuneText(adapter: string, results: readonly LabTuningResult[]): string {
  return [
    adapter,
    "",
    table(
      [
        ["matrix", ({ matrix, model, role }) => `${model} ${role} ${matrix.format}`],
        ["N×K", ({ matrix: { N, K } }) => `${N}×${K}`],
        ["rows", ({ rows }) => `${rows}`],
        ["default", ({ standard }) => standard],
        ["µs", ({ standardUs }) => figure(standardUs ?? null)],
        ["tuned", ({ shape, standard }) => (shape === standard ? "same" : (shape ?? "–"))],
        ["µs", ({ us }) => figure(us ?? null)],
        [
          "faster",
          ({ us, standardUs }) => (us && standardUs ? `${figure(standardUs / us)}×` : "–"),
        ],
        ["tried", ({ tried }) => `${tried}`],
        ["dropped", ({ dropped }) => `${dropped.length}`],
      ],
      results,
    ),
    ...droppedLines(results),
    "",
  ].join("\n");
}

/** A line per reason, with the shapes and where. */
function droppedLines(results: readonly LabTuningResult[]): string[] {
  const byReason = new Map<string, Set<string>>();
  for (const { matrix, dropped, tried } of results) {
    if (tried === 0) add(byReason, "no time to find out", `matmul[${matrix.format}]`);
    for (const { shape, reason } of dropped) add(byReason, reason, `${shape}[${matrix.format}]`);
  }
  return [...byReason].map(([reason, names]) => `dropped: ${[...names].join(", ")}: ${reason}`);
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  map.set(key, (map.get(key) ?? new Set()).add(value));
}
