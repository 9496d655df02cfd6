/**
 * The roofline as SVG: flops per byte against GFLOP/s, both logarithmic, the two roofs and a mark per
 * kernel. Colours are the page's classes `line0` to `line5`; computes nothing but places.
 */
import { escapeHtml } from "../cli/line-plot.ts";
import { type Peaks, ridge } from "./roofline.ts";

export interface Mark {
  /** Which colour. */
  readonly series: number;
  /** Ours are round. */
  readonly sign: "circle" | "square" | "diamond";
  readonly flopsPerByte: number;
  readonly gflopPerS: number;
  readonly title: string;
}

const WIDTH = 1072;
const HEIGHT = 470;
const LEFT = 64;
const RIGHT = 24;
const TOP = 24;
const BOTTOM = 48;
const RADIUS = 4.5;

export function rooflinePlot(peaks: Peaks, marks: readonly Mark[]): string {
  const { gbPerS, gflopPerS } = peaks;
  const xs = [...marks.map((mark) => mark.flopsPerByte), ridge(peaks)];
  const ys = [...marks.map((mark) => mark.gflopPerS), gflopPerS];
  const x = decades(xs, LEFT, WIDTH - RIGHT);
  const y = decades(ys, HEIGHT - BOTTOM, TOP);
  // Where the memory roof enters the plot: from the left, or from below.
  const start = Math.max(x.low, y.low / gbPerS);
  const corner = [x.place(ridge(peaks)), y.place(gflopPerS)];
  const roof = [
    [x.place(start), y.place(start * gbPerS)],
    corner,
    [x.place(x.high), y.place(gflopPerS)],
  ];
  const [from, to] = roof;
  const angle = (Math.atan2(to[1] - from[1], to[0] - from[0]) * 180) / Math.PI;
  const middle = [0.45 * from[0] + 0.55 * to[0], 0.45 * from[1] + 0.55 * to[1]].map(round);
  const [centreX, centreY] = [(LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2];
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline">`,
    ...x.ticks.map((tick) => {
      const at = round(x.place(tick));
      return (
        `<path class="grid" d="M${at} ${TOP}V${HEIGHT - BOTTOM}"/>` +
        `<text class="tick" x="${at}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${tickText(tick)}</text>`
      );
    }),
    ...y.ticks.map((tick) => {
      const at = round(y.place(tick));
      return (
        `<path class="grid" d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>` +
        `<text class="tick" x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${tickText(tick)}</text>`
      );
    }),
    `<text class="label" x="${centreX}" y="${HEIGHT - 10}" text-anchor="middle">flops per byte that must be moved</text>`,
    `<text class="label" x="14" y="${centreY}" text-anchor="middle" transform="rotate(-90 14 ${centreY})">GFLOP/s</text>`,
    `<path class="roof" d="M${roof.map((point) => point.map(round).join(" ")).join("L")}"/>`,
    `<text class="roof-label" x="${middle[0]}" y="${middle[1]}" dy="-7" text-anchor="middle" transform="rotate(${round(angle)} ${middle.join(" ")})">memory ${rate(gbPerS)} GB/s</text>`,
    `<text class="roof-label" x="${WIDTH - RIGHT - 6}" y="${round(corner[1]) - 7}" text-anchor="end">arithmetic ${rate(gflopPerS)} GFLOP/s</text>`,
    ...marks.map((mark) => draw(mark, x.place(mark.flopsPerByte), y.place(mark.gflopPerS))),
    "</svg>",
  ].join("");
}

function draw({ series, sign, title }: Mark, x: number, y: number): string {
  const [cx, cy] = [round(x), round(y)];
  const head = `class="mark line${series}`;
  const name = `<title>${escapeHtml(title)}</title>`;
  if (sign === "circle")
    return `<circle ${head}" cx="${cx}" cy="${cy}" r="${RADIUS}">${name}</circle>`;
  const r = RADIUS;
  const outline =
    sign === "square"
      ? `M${cx - r} ${cy - r}h${2 * r}v${2 * r}h${-2 * r}z`
      : `M${cx} ${cy - 1.5 * r}l${1.5 * r} ${1.5 * r}l${-1.5 * r} ${1.5 * r}l${-1.5 * r} ${-1.5 * r}z`;
  return `<path ${head} open" d="${outline}">${name}</path>`;
}

/** From data to pixels `from`..`to`, whole powers of ten. */
function decades(values: readonly number[], from: number, to: number) {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value));
  const least = positive.reduce((a, b) => Math.min(a, b), positive[0] ?? 1);
  const most = positive.reduce((a, b) => Math.max(a, b), positive[0] ?? 1);
  const first = Math.floor(Math.log10(least));
  const last = Math.max(first + 1, Math.ceil(Math.log10(most * 1.2)));
  return {
    low: 10 ** first,
    high: 10 ** last,
    ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
    place: (value: number) => from + ((to - from) * (Math.log10(value) - first)) / (last - first),
  };
}

const rate = (value: number): string => Number(value.toPrecision(3)).toLocaleString("en");
const tickText = (value: number): string =>
  value >= 1e4 || value < 1e-3
    ? value.toExponential(0).replace("e+", "e")
    : `${Number(value.toPrecision(1))}`;
const round = (pixels: number): number => Math.round(10 * pixels) / 10;
