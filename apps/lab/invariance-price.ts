/**
 * What it costs that matrices add in one order whatever the batch: the fastest kernel of the numeric
 * class against the fastest that adds in any order, of the rows that were measured.
 */

import { escapeHtml } from "../cli/line-plot.ts";
import type { Column } from "../cli/table.ts";
import { wideTable } from "../cli/wide-table.ts";
import { figure } from "./figure.ts";
import type { LabRow } from "./result.ts";

export interface InvariancePrice {
  readonly model: string;
  readonly role: string;
  readonly shape: string;
  readonly format: string;
  readonly invariant: LabRow;
  readonly anyOrder: LabRow;
  /** Time of the one over time of the other: 1.1 is a tenth more. */
  readonly price: number;
}

/** One entry per matrix, sizes and format that both kinds computed, rightly. */
export function invariancePrices(rows: readonly LabRow[]): InvariancePrice[] {
  const ours = rows.filter(
    ({ name, variant, source, medianUs, problem }) =>
      name === "matmul" &&
      source === "weft" &&
      medianUs !== null &&
      !problem &&
      // Int8 rows are another product, not another order.
      !/_int8\[/.test(variant),
  );
  const taskOf = (row: LabRow) => [row.model, row.role, row.shape, formatOf(row)].join("/");
  return [...new Set(ours.map(taskOf))].flatMap((task) => {
    const same = ours.filter((row) => taskOf(row) === task);
    const anyOrder = fastest(same.filter(addsInAnyOrder));
    const invariant = fastest(same.filter((row) => !addsInAnyOrder(row)));
    if (!anyOrder || !invariant) return [];
    const { model, role, shape } = invariant;
    const price = invariant.medianUs! / anyOrder.medianUs!;
    return { model, role, shape, format: formatOf(invariant), invariant, anyOrder, price };
  });
}

const addsInAnyOrder = ({ variant }: LabRow): boolean => /_any\[/.test(variant);
/** `q4_0` of `gemv[q4_0,norm].silu`. */
const formatOf = ({ variant }: LabRow): string => /\[(\w+)/.exec(variant)?.[1] ?? "";
const shapeOf = ({ variant }: LabRow): string => variant.replace(/\[.*/, "");

const fastest = (rows: readonly LabRow[]): LabRow | undefined =>
  rows.reduce<LabRow | undefined>(
    (best, row) => (best && best.medianUs! <= row.medianUs! ? best : row),
    undefined,
  );

export const priceColumns: readonly Column<InvariancePrice>[] = [
  ["matrix", ({ model, role }) => `${model} ${role}`],
  ["sizes", ({ shape }) => shape],
  ["format", ({ format }) => format],
  ["invariant", ({ invariant }) => shapeOf(invariant)],
  ["µs", ({ invariant }) => figure(invariant.medianUs)],
  ["any order", ({ anyOrder }) => shapeOf(anyOrder)],
  ["µs", ({ anyOrder }) => figure(anyOrder.medianUs)],
  ["price", ({ price }) => `${figure(price, 3)}×`],
];

/** HTML; nothing where nothing was compared. */
export function invarianceSection(rows: readonly LabRow[]): string[] {
  const prices = invariancePrices(rows);
  if (prices.length === 0) return [];
  const head = priceColumns.map(([title]) => `<th>${title}</th>`).join("");
  const body = prices.map((price) => {
    const cells = priceColumns.map(([, cell]) => `<td>${escapeHtml(cell(price))}</td>`);
    return `<tr>${cells.join("")}</tr>`;
  });
  return [
    '<section class="model"><h2>The price of invariance</h2>' +
      "<p>The fastest kernel that gives a row the same bits whatever the batch, over the fastest " +
      "that adds in any order.</p>" +
      `${wideTable("The price of invariance", `<tr>${head}</tr>${body.join("")}`)}</section>`,
  ];
}
