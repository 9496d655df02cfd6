/**
 * The lab's report: one HTML file without scripts or links, to be opened or pasted. Draws; measures
 * nothing.
 */

import { escapeHtml } from "../cli/line-plot.ts";
import { REPORT_STYLE } from "../cli/report-style.ts";
import { wideTable } from "../cli/wide-table.ts";
import { besideOthers } from "./beside.ts";
import { errorText, figure } from "./figure.ts";
import { invarianceSection } from "./invariance-price.ts";
import { reasons } from "./lab-text.ts";
import { peaksOf } from "./probes.ts";
import type { LabResult, LabRow } from "./result.ts";
import { type Mark, rooflinePlot } from "./roofline-plot.ts";

export function labReport(result: LabResult): string {
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width"><title>weft bench kernels</title>',
    `<style>${LAB_STYLE}</style></head><body><main>`,
    labBody(result),
    "</main></body></html>\n",
  ].join("\n");
}

/** What stands in the page, also in the browser's lab. */
export function labBody(result: LabResult): string {
  const { kernels, notes } = result;
  const models = [...new Set(kernels.map(({ model }) => model))];
  const absent = kernels.filter(({ medianUs }) => medianUs === null);
  const wrong = kernels.filter(({ problem }) => problem);
  return [
    "<h1>weft bench kernels</h1>",
    `<dl>${facts(result)}</dl>`,
    ...notes.map((note) => `<p class="note">${escapeHtml(note)}</p>`),
    ...wrong.map(
      ({ variant, name, problem }) =>
        `<p class="wrong">${escapeHtml(`${name} ${variant} is wrong here: ${problem}`)}</p>`,
    ),
    "<section><h2>Roofline</h2>",
    `<div class="roofline">${rooflinePlot(peaksOf(result.probes), marksOf(kernels))}</div>`,
    `<ul class="legend">${legend(kernels)}</ul></section>`,
    ...besideOthers(kernels),
    ...invarianceSection(kernels),
    ...models.map((model) =>
      section(
        model,
        kernels.filter((row) => row.model === model),
      ),
    ),
    ...(absent.length === 0
      ? []
      : [`<section><h2>Absent</h2><ul>${list(reasons(absent))}</ul></section>`]),
    `<footer>${footnote(result)}</footer>`,
  ].join("\n");
}

function facts({ adapter, host, date, probes }: LabResult): string {
  const all: readonly (readonly [string, string])[] = [
    ["adapter", adapter],
    ["host", host],
    ["date", date],
    ["copy", `${figure(probes.copyGBPerS)} GB/s`],
    ["read", `${figure(probes.readGBPerS)} GB/s`],
    ["fma", `${figure(probes.fmaGFlopPerS)} GFLOP/s`],
    ...(probes.dotGOpPerS ? [["int8 dots", `${figure(probes.dotGOpPerS)} GOP/s`] as const] : []),
    ["dispatch", `${figure(probes.dispatchUs)} µs, ${figure(probes.encodeUs)} µs to record`],
    ["submission", `${figure(probes.submitUs)} µs`],
  ];
  return all
    .map(([key, value]) => `<div><dt>${key}</dt> <dd>${escapeHtml(value)}</dd></div>`)
    .join("");
}

interface Series {
  readonly name: string;
  readonly sign: Mark["sign"];
  has(row: LabRow): boolean;
}

/** The first that has a row draws it. */
const SERIES: readonly Series[] = [
  { name: "your kernels", sign: "diamond", has: ({ source }) => source === "yours" },
  { name: "other libraries", sign: "square", has: ({ source }) => source !== "weft" },
  {
    name: "matrix × one row",
    sign: "circle",
    has: ({ name, rows }) => name === "matmul" && rows === 1,
  },
  {
    name: "matrix × few rows",
    sign: "circle",
    has: ({ name, rows }) => name === "matmul" && rows <= 16,
  },
  { name: "matrix × many rows", sign: "circle", has: ({ name }) => name === "matmul" },
  { name: "attention", sign: "circle", has: ({ name }) => name.startsWith("attention") },
  { name: "the rest", sign: "circle", has: () => true },
];
/** By series; colours 0 to 5 of the style. */
const COLOR_OF = [4, 3, 0, 5, 1, 2, 3];

const seriesOf = (row: LabRow): number => SERIES.findIndex(({ has }) => has(row));

function marksOf(rows: readonly LabRow[]): Mark[] {
  return rows.flatMap((row) => {
    const { gflopPerS, flops, bytes, rooflinePct, name, variant, model, shape } = row;
    // Copies compute nothing, and the roofline is not the processor's.
    if (!gflopPerS || rooflinePct === null) return [];
    const series = seriesOf(row);
    return {
      series: COLOR_OF[series],
      sign: SERIES[series].sign,
      flopsPerByte: flops / bytes,
      gflopPerS,
      title: `${name} ${variant}, ${model}, ${shape}: ${figure(rooflinePct)} %`,
    };
  });
}

function legend(rows: readonly LabRow[]): string {
  const present = new Set(rows.filter(({ gflopPerS }) => gflopPerS).map(seriesOf));
  return SERIES.flatMap(({ name, sign }, i) =>
    present.has(i) ? `<li><i class="${sign} line${COLOR_OF[i]}"></i>${name}</li>` : [],
  ).join("");
}

const COLUMNS: readonly (readonly [string, (row: LabRow) => string])[] = [
  ["kernel", ({ name, variant }) => escapeHtml(`${name} ${variant}`.trim())],
  ["for", ({ role }) => escapeHtml(role)],
  ["sizes", ({ shape }) => escapeHtml(shape)],
  ["µs", ({ medianUs }) => figure(medianUs)],
  ["GB/s", ({ gbPerS }) => figure(gbPerS)],
  ["GFLOP/s", ({ gflopPerS, flops }) => figure(flops === 0 ? null : gflopPerS)],
  ["of roofline", ({ rooflinePct }) => bar(rooflinePct)],
  ["error", ({ maxError }) => errorText(maxError)],
];

/** Ours and the user's; other libraries have a table of their own. */
function section(model: string, rows: readonly LabRow[]): string {
  const shown = rows.filter(
    ({ source, medianUs }) => medianUs !== null && (source === "weft" || source === "yours"),
  );
  if (shown.length === 0) return "";
  const head = COLUMNS.map(([title]) => `<th>${title}</th>`).join("");
  const body = shown.map((row) => {
    const cells = COLUMNS.map(([, cell]) => `<td>${cell(row)}</td>`).join("");
    return `<tr${row.source === "yours" ? ' class="yours"' : ""}>${cells}</tr>`;
  });
  return (
    `<section class="model"><h2>${escapeHtml(model)}</h2>` +
    `${wideTable(model, `<tr>${head}</tr>${body.join("")}`)}</section>`
  );
}

function bar(percent: number | null): string {
  if (percent === null) return "–";
  const width = Math.min(100, Math.max(0, percent)).toFixed(1);
  return `<span class="bar"><i style="width:${width}%"></i></span><b>${figure(percent, 2)} %</b>`;
}

const list = (lines: readonly string[]): string =>
  lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("");

const footnote = ({ method }: LabResult): string =>
  `${escapeHtml(`${method[0].toUpperCase()}${method.slice(1)}.`)} GB/s counts the bytes that must be ` +
  "moved, every operand once, however often a kernel reads it. The roofline is the longer of these " +
  "bytes at the better of the two bandwidths and the flops at the fma rate. The error is the largest " +
  "against float64, relative to the RMS of the output.";

export const LAB_STYLE = `${REPORT_STYLE}
.note{color:var(--soft);margin:4px 0}.wrong{color:#c22;font-weight:600;margin:4px 0}
.roofline svg{background:var(--card);border-radius:8px;width:100%;height:auto}
.roof{stroke:var(--text);stroke-width:1.6;fill:none}.roof-label{font-size:12px}
.mark{fill:var(--color);fill-opacity:.8;stroke:var(--card);stroke-width:.8}
.mark.open{fill:none;stroke:var(--color);stroke-width:1.8}
.legend i{display:inline-block;width:10px;height:10px;margin-right:7px;background:var(--color);border-radius:50%}
.legend i.square,.legend i.diamond{background:none;border:2px solid var(--color);border-radius:0;width:7px;height:7px}
.legend i.diamond{transform:rotate(45deg)}
.model td:nth-child(-n+3),.model th:nth-child(-n+3){text-align:left}
.model table{font-size:14px}.model th,.model td{padding:4px 8px}.model th{vertical-align:bottom}
td b{display:inline-block;min-width:5.5ch;font-weight:400}
.bar{display:inline-block;width:56px;height:8px;background:var(--grid);border-radius:4px;margin-right:6px;overflow:hidden;vertical-align:middle}
.bar i{display:block;height:100%;background:var(--line0)}
.yours td{background:var(--card);font-weight:600}
.beside small{color:var(--soft)}
`;
