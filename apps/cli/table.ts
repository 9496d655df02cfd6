/** Lines of aligned columns: the first from the left, figures from the right. */

export type Column<T> = readonly [title: string, cell: (value: T) => string];

export function table<T>(columns: readonly Column<T>[], values: readonly T[]): string {
  const rows = [
    columns.map(([title]) => title),
    ...values.map((value) => columns.map(([, cell]) => cell(value))),
  ];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return `${rows.map(line).join("\n")}\n`;
}
