/** The lab's result as lines of text. */
import { table } from "../cli/table.ts";
import { errorText, figure } from "./figure.ts";
import { invariancePrices, priceColumns } from "./invariance-price.ts";
import type { LabResult, LabRow } from "./result.ts";

const named = ({ name, variant }: LabRow) => (variant ? `${name} ${variant}` : name);

export function labText({ adapter, probes, method, notes, kernels }: LabResult): string {
  const measured = kernels.filter(({ medianUs }) => medianUs !== null);
  const absent = kernels.filter(({ medianUs }) => medianUs === null);
  const prices = invariancePrices(kernels);
  return [
    adapter,
    ...notes,
    `method    ${method}`,
    `memory    copy ${figure(probes.copyGBPerS)} GB/s, read ${figure(probes.readGBPerS)} GB/s`,
    `fma       ${figure(probes.fmaGFlopPerS)} GFLOP/s`,
    ...(probes.dotGOpPerS ? [`dot       ${figure(probes.dotGOpPerS)} GOP/s of int8`] : []),
    `dispatch  ${figure(probes.dispatchUs)} µs, ${figure(probes.encodeUs)} µs to record`,
    `submit    ${figure(probes.submitUs)} µs`,
    "",
    table(
      [
        ["kernel", named],
        ["for", ({ model, role }) => `${model} ${role}`],
        ["sizes", ({ shape }) => shape],
        ["from", ({ source }) => source],
        ["µs", ({ medianUs }) => figure(medianUs)],
        ["GB/s", ({ gbPerS }) => figure(gbPerS)],
        ["GFLOP/s", ({ gflopPerS, flops }) => figure(flops === 0 ? null : gflopPerS)],
        ["% of roofline", ({ rooflinePct }) => figure(rooflinePct, 2)],
        ["error", ({ maxError }) => errorText(maxError)],
      ],
      measured,
    ),
    ...(prices.length > 0 ? [`price of invariance\n${table(priceColumns, prices)}`] : []),
    ...reasons(absent).map((reason) => `absent: ${reason}`),
    "",
  ].join("\n");
}

/** One line per library, backend and reason, however many sizes it is absent from. */
export function reasons(absent: readonly LabRow[]): string[] {
  const lines = new Map<string, string[]>();
  for (const row of absent) {
    const line = `${row.source} ${row.source === "weft" ? named(row) : row.variant}: ${row.absent}`;
    lines.set(line, [...(lines.get(line) ?? []), `${row.name} ${row.shape}`]);
  }
  return [...lines].map(([line, where]) => {
    const places = where.length > 3 ? `${where.length} rows` : where.join("; ");
    return `${line} (${places})`;
  });
}
