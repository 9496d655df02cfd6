// Rows and ratios as Markdown. Pure.

import { NEVER_RUNNABLE } from "./subjects.mjs";

/**
 * @typedef {import("./participant.mjs").Row} Row
 * @typedef {readonly [title: string, cell: (row: Row) => string]} Column
 */

/** @type {readonly Column[]} */
const COLUMNS = [
  ["model", ({ size }) => size],
  ["engine", ({ subject }) => subject],
  ["runs on", ({ backend = "", adapter }) => (adapter ? `${backend}, ${adapter}` : backend)],
  ["weights", ({ weights }) => weights],
  ["prefill tok/s", ({ prefillTokPerS }) => figure(prefillTokPerS?.median)],
  ["decode tok/s", ({ decodeTokPerS }) => figure(decodeTokPerS?.median)],
  ["8 at once tok/s", ({ aggregateTokPerS }) => figure(aggregateTokPerS?.["8"]?.median)],
  ["cold first token s", ({ coldFirstTokenMs }) => figure(seconds(coldFirstTokenMs))],
  ["peak MiB", ({ peakMiB }) => (peakMiB === undefined ? "" : peakMiB.toFixed(0))],
  ["tokens as reference", ({ agreement = "" }) => agreement],
];

/** @param {readonly Row[]} rows */
export function tableOf(rows) {
  const measured = rows.filter(
    ({ backend, failed, notRunnable }) => backend && !failed && !notRunnable,
  );
  const reasons = [
    ...rows.flatMap(({ size, subject, notRunnable, failed }) => [
      ...(notRunnable ? [`${subject} (${size}): not runnable here: ${notRunnable}`] : []),
      ...(failed ? [`${subject} (${size}): failed: ${failed}`] : []),
    ]),
    ...NEVER_RUNNABLE.map(({ subject, reason }) => `${subject}: not runnable here: ${reason}`),
  ];
  const lines = [
    line(COLUMNS.map(([title]) => title)),
    line(COLUMNS.map((_, i) => (i < 4 ? "---" : "---:"))),
    ...measured.map((row) => line(COLUMNS.map(([, cell]) => cell(row)))),
    "",
    ...reasons.map((reason) => `- ${reason}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** @param {readonly import("./ratios.mjs").Ratio[]} ratios */
export function ratioTable(ratios) {
  const lines = [
    line(["model", "engine", "adapter", "Weft's", "times", "must show", "rival"]),
    line(["---", "---", "---", "---", "---:", "---:", "---"]),
    ...ratios.map(({ size, subject, adapter, what, measured, required, rival }) =>
      line([size, subject, adapter, what, figure(measured), `${required ?? ""}`, rival]),
    ),
  ];
  return `${lines.join("\n")}\n`;
}

/** @param {readonly string[]} cells */
const line = (cells) => `| ${cells.join(" | ")} |`;

/** @param {number | undefined} ms */
const seconds = (ms) => (ms === undefined ? undefined : ms / 1000);

/** Three digits. @param {number | undefined} value */
function figure(value) {
  if (value === undefined) return "";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
