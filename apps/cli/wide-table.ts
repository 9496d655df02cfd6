/** A table of a report that may be wider than the page: it scrolls by itself, with keys too. */
import { escapeHtml } from "./line-plot.ts";

/** @param name Of the table, for those who do not see it. @param rows Markup. */
export const wideTable = (name: string, rows: string): string =>
  `<section class="wide" aria-label="${escapeHtml(name)}" tabindex="0"><table>${rows}</table></section>`;
