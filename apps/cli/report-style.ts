/** The look of Weft's reports: one style sheet for pages of plots and tables, light and dark. */
const COLORS = {
  light: ["#1f6fd6", "#c2560a", "#0b8a5f", "#6b7280", "#a13fa1", "#8a6d00"],
  dark: ["#6aa9ff", "#ff9f5a", "#4cd3a0", "#9aa4b2", "#e08ae0", "#d9b84a"],
};
const palette = (colors: readonly string[]): string =>
  colors.map((color, i) => `--line${i}:${color}`).join(";");
const lineRules = COLORS.light.map((_, i) => `.line${i}{--color:var(--line${i})}`).join("");

const DARK = `--back:#12161d;--card:#1a2029;--text:#e6e9ee;--soft:#9aa4b2;--grid:#2c3542;${palette(COLORS.dark)}`;

/** `.line0` to `.line5` set `--color`. A page that embeds a report may set its root's `data-theme`. */
export const REPORT_STYLE = `
:root{color-scheme:light dark;--back:#fff;--card:#f7f8fa;--text:#1c2330;--soft:#5b6472;--grid:#dfe3e8;${palette(COLORS.light)}}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${DARK}}}
:root[data-theme=dark]{color-scheme:dark;${DARK}}:root[data-theme=light]{color-scheme:light}
${lineRules}
body{margin:0 auto;max-width:1120px;padding:24px;background:var(--back);color:var(--text);font:15px/1.45 system-ui,sans-serif}
h1{font-size:24px;margin:0 0 8px}h2{font-size:18px;margin:32px 0 10px}
dl{display:flex;flex-wrap:wrap;gap:4px 24px;margin:0 0 12px}dl dt,dl dd{display:inline;margin:0}dl dt{color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;list-style:none;margin:0;padding:10px 0}
.wide{overflow-x:auto;margin-bottom:16px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;white-space:nowrap;width:100%}
th{color:var(--soft);font-weight:500}th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left;padding-left:0}
svg text{fill:var(--text);font:12px system-ui,sans-serif}svg .title{font-weight:600;font-size:13px}
svg .tick{fill:var(--soft);font-size:11px}svg .label{fill:var(--soft)}
.grid{stroke:var(--grid);fill:none}.line{stroke:var(--color);stroke-width:1.8;fill:none;stroke-linejoin:round}
.dashed{stroke-dasharray:5 4}.dot{fill:var(--color)}footer{color:var(--soft);margin-top:32px;font-size:13px}
`;
