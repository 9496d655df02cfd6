/** Ours beside other libraries: one line per operation and size, one column per library and backend. */

import { escapeHtml } from "../cli/line-plot.ts";
import { wideTable } from "../cli/wide-table.ts";
import { figure } from "./figure.ts";
import type { LabRow } from "./result.ts";

/** HTML; nothing where no other library took part. */
export function besideOthers(rows: readonly LabRow[]): string[] {
  const others = rows.filter(({ source }) => source !== "weft" && source !== "yours");
  if (others.every(({ medianUs }) => medianUs === null)) return [];
  const columns = [...new Set(others.map(columnOf))];
  const lines = [...new Set(others.map(taskOf))].map((task) => {
    const same = others.filter((row) => taskOf(row) === task);
    const ours = bestOfOurs(rows, same[0]);
    const cells = columns.map((column) =>
      cell(
        same.find((row) => columnOf(row) === column),
        ours,
      ),
    );
    const { name, shape } = same[0];
    return (
      `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(shape)}</td>` +
      `<td>${ours ? `${time(ours.us)}<br><small>${escapeHtml(ours.variant)}</small>` : "–"}</td>` +
      `${cells.join("")}</tr>`
    );
  });
  // The library over its backend: narrow enough for a page.
  const head = ["operation", "sizes", "weft", ...columns].map(
    (title) => `<th>${escapeHtml(title).replace(" ", "<br>")}</th>`,
  );
  return [
    '<section class="model beside"><h2>Beside other libraries</h2>' +
      "<p>The same operation in f32; in brackets, how many times as long as ours. Theirs are taken " +
      "on the wall clock with a submission per call, as they make it.</p>" +
      `${wideTable("Beside other libraries", `<tr>${head.join("")}</tr>${lines.join("")}`)}</section>`,
  ];
}

const columnOf = ({ source, variant }: LabRow): string =>
  `${source} ${variant.replace(/ \(.*/, "")}`;
const taskOf = ({ name, role, rows }: LabRow): string => `${name}/${role}/${rows}`;

/** The fastest that computes in the same precision; split attention needs its second half too. */
export function bestOfOurs(rows: readonly LabRow[], task: LabRow) {
  const ours = rows.filter(({ source, model }) => source === "weft" && model === task.model);
  const same = ours
    .filter((row) => taskOf(row) === taskOf(task) && row.medianUs !== null)
    .filter(({ name, variant }) => name !== "matmul" || /\[f32\b/.test(variant))
    .sort((a, b) => a.medianUs! - b.medianUs!)[0];
  if (!same) return undefined;
  if (task.name !== "attention_decode") return { us: same.medianUs!, variant: same.variant };
  const reduce = ours.find(
    ({ name, rows: count }) => name === "attention_reduce" && count === task.rows,
  );
  return { us: same.medianUs! + (reduce?.medianUs ?? 0), variant: "decode and reduce, f16 cache" };
}

function cell(row: LabRow | undefined, ours: { us: number } | undefined): string {
  if (!row || row.medianUs === null) return "<td>–</td>";
  const times = ours ? ` <small>(${figure(row.medianUs / ours.us, 2)}×)</small>` : "";
  return `<td>${time(row.medianUs)}${times}</td>`;
}

const time = (us: number): string => `${figure(us)} µs`;
