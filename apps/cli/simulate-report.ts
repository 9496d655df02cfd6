/** The report of `weft simulate`: one HTML file without scripts or links. Draws; computes nothing. */

import type { PolicyFigures, PolicyRun } from "../../scheduler/index.ts";
import { escapeHtml, type Line, linePlot, type Plot } from "./line-plot.ts";
import { REPORT_STYLE } from "./report-style.ts";
import { wideTable } from "./wide-table.ts";

/** Nobody can choose it: drawn apart from those that one can. */
const BOUND = "oracle";

/** What was simulated, as shown above the plots. */
export type About = Readonly<Record<string, string | number>>;

export function simulateReport(about: About, runs: readonly PolicyRun[]): string {
  const names = [...new Set(runs.map(({ figures }) => figures.name))];
  const loads = [...new Set(runs.map(({ figures }) => figures.load))];
  const facts = Object.entries(about).map(
    ([key, value]) => `<div><dt>${words(key)}</dt> <dd>${escapeHtml(`${value}`)}</dd></div>`,
  );
  const legend = names.map((name, i) => `<li><i class="line${i}"></i>${escapeHtml(name)}</li>`);
  const sections = loads.map((load) => {
    const here = runs.filter(({ figures }) => figures.load === load);
    const title = load === "backlog" ? "Backlog: all requests at time 0" : `Load ${load}`;
    const plots = plotsOf(here, names).map(linePlot);
    return `<section><h2>${title}</h2>${table(title, here)}<div class="plots">${plots.join("")}</div></section>`;
  });
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width"><title>weft simulate</title>',
    `<style>${STYLE}</style></head><body><header><h1>weft simulate</h1>`,
    `<dl>${facts.join("")}</dl><ul class="legend">${legend.join("")}</ul></header>`,
    ...byLoad(runs, names),
    ...sections,
    `<footer>${FOOTNOTE}</footer></body></html>\n`,
  ].join("\n");
}

/** Goodput against load, where more than one load was given in numbers. */
function byLoad(runs: readonly PolicyRun[], names: readonly string[]): string[] {
  const lines = names.map((name, index): Line => {
    const points = runs.flatMap(({ figures }): [number, number][] =>
      figures.name === name && figures.load !== "backlog" ? [[figures.load, figures.goodput]] : [],
    );
    return {
      name,
      index,
      points: points.sort(([a], [b]) => a - b),
      dots: true,
      dashed: name === BOUND,
    };
  });
  if (lines.every(({ points }) => points.length < 2)) return [];
  const plot = linePlot({
    title: "Goodput against load",
    x: { label: "tokens offered, share of capacity" },
    y: { label: "good requests per second" },
    lines,
  });
  return [`<section><h2>All loads</h2><div class="plots">${plot}</div></section>`];
}

function plotsOf(runs: readonly PolicyRun[], names: readonly string[]): Plot[] {
  const lines = (points: (curves: PolicyRun["curves"]) => [number, number][]): Line[] =>
    runs.map(({ figures: { name }, curves }) => ({
      name,
      index: names.indexOf(name),
      dashed: name === BOUND,
      points: points(curves),
    }));
  const time = { label: "seconds" };
  const overTime = (values: readonly number[], binMs: number) =>
    values.map((value, i): [number, number] => [((i + 0.5) * binMs) / 1000, value]);
  const share = { label: "share of requests", max: 1 };
  const distribution = (values: readonly number[]) =>
    values.map((value, i): [number, number] => [value, i / (values.length - 1)]);
  return [
    {
      title: "Requests waiting",
      x: time,
      y: { label: "requests" },
      lines: lines(({ waiting, binMs }) => overTime(waiting, binMs)),
    },
    {
      title: "KV cache in use",
      x: time,
      y: { label: "share of tokens", max: 1 },
      lines: lines(({ kvShare, binMs }) => overTime(kvShare, binMs)),
    },
    {
      title: "Time to first token",
      x: { label: "seconds, at most", scale: "log" },
      y: share,
      lines: lines(({ ttftMs }) => distribution(ttftMs.map((ms) => ms / 1000))),
    },
    {
      title: "Gap between tokens",
      x: { label: "milliseconds, at most", scale: "log" },
      y: { ...share, label: "share of gaps" },
      lines: lines(({ itlMs }) => distribution(itlMs)),
    },
  ];
}

const COLUMNS: readonly (readonly [string, (figures: PolicyFigures) => string])[] = [
  ["policy", ({ name }) => escapeHtml(name)],
  ["steps", ({ steps }) => steps.toLocaleString("en")],
  ["preempted", ({ preemptions }) => preemptions.toLocaleString("en")],
  ["recomputed", ({ recomputedShare }) => percent(recomputedShare)],
  ["KV used", ({ kvUtilization }) => percent(kvUtilization)],
  ["tokens/s", ({ tokPerS }) => tokPerS.toFixed(0)],
  ["good", ({ good }) => good.toLocaleString("en")],
  ["good requests/s", ({ goodput }) => goodput.toPrecision(3)],
  [
    "TTFT p50, p95, p99 s",
    ({ ttftMs: { p50, p95, p99 } }) => [p50, p95, p99].map(seconds).join(" · "),
  ],
  ["gap p50, p99 ms", ({ itlMs: { p50, p99 } }) => `${p50.toFixed(0)} · ${p99.toFixed(0)}`],
];

function table(title: string, runs: readonly PolicyRun[]): string {
  const head = COLUMNS.map(([title]) => `<th>${title}</th>`);
  const rows = runs.map(
    ({ figures }) => `<tr>${COLUMNS.map(([, cell]) => `<td>${cell(figures)}</td>`).join("")}</tr>`,
  );
  return wideTable(title, `<tr>${head.join("")}</tr>${rows.join("")}`);
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
const seconds = (ms: number): string =>
  ms < 1e6 ? (ms / 1000).toPrecision(3) : (ms / 1000).toFixed(0);
/** `kvTokens` to `kv tokens`. */
const words = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

const FOOTNOTE =
  "A step is one plan. Good requests have their first token within 10 s and no gap above 1.5 s; " +
  "per second means of each policy's own makespan. " +
  "Load 1 offers as many tokens per second as the oracle serves when all requests wait at time 0. " +
  "Times are predicted by a cost model, not measured on a GPU.";

/** The legend stays in sight, and its lines are those of the plots. */
const STYLE = `${REPORT_STYLE}
.legend{position:sticky;top:0;background:var(--back)}
header{display:contents}
.legend i{display:inline-block;width:20px;height:0;border-top:3px solid var(--color);margin-right:7px;vertical-align:middle}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
.plots svg{background:var(--card);border-radius:8px;width:100%;max-width:640px;height:auto}
`;
