/**
 * One plot of lines as SVG: axes, grid, ticks. Colours are the page's, by CSS classes `line0`,
 * `line1`, …; knows nothing of what is plotted.
 */
export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

export interface Axis {
  readonly label: string;
  readonly scale?: "linear" | "log";
  /** Upper end; default is what the lines reach, and a little more. */
  readonly max?: number;
}

export interface Line {
  readonly name: string;
  /** Which colour. */
  readonly index: number;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Mark each point, where there are few. */
  readonly dots?: boolean;
  readonly dashed?: boolean;
}

const WIDTH = 520;
const HEIGHT = 270;
const LEFT = 54;
const RIGHT = 22;
const TOP = 30;
const BOTTOM = 44;

export function linePlot({ title, x, y, lines }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  const toX = scaleOf(
    x,
    points.map(([value]) => value),
    LEFT,
    WIDTH - RIGHT,
  );
  const toY = scaleOf(
    y,
    points.map(([, value]) => value),
    HEIGHT - BOTTOM,
    TOP,
  );
  const [middleX, middleY] = [(LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2];
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">`,
    `<text class="title" x="${LEFT}" y="16">${escapeHtml(title)}</text>`,
    ...toX.ticks.map((tick) => {
      const at = round(toX.place(tick));
      return (
        `<path class="grid" d="M${at} ${TOP}V${HEIGHT - BOTTOM}"/>` +
        `<text class="tick" x="${at}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${tickText(tick)}</text>`
      );
    }),
    ...toY.ticks.map((tick) => {
      const at = round(toY.place(tick));
      return (
        `<path class="grid" d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>` +
        `<text class="tick" x="${LEFT - 6}" y="${at + 3.5}" text-anchor="end">${tickText(tick)}</text>`
      );
    }),
    `<text class="label" x="${middleX}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
    `<text class="label" x="12" y="${middleY}" text-anchor="middle" transform="rotate(-90 12 ${middleY})">${escapeHtml(y.label)}</text>`,
    // The first line is drawn last, over the others.
    ...lines.map((line) => drawLine(line, toX.place, toY.place)).reverse(),
    "</svg>",
  ].join("");
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

type Place = (value: number) => number;

function drawLine({ name, index, points, dots, dashed }: Line, toX: Place, toY: Place): string {
  const places = points.map(([x, y]) => `${round(toX(x))} ${round(toY(y))}`);
  if (places.length === 0) return "";
  const title = `<title>${escapeHtml(name)}</title>`;
  const circles = places.map((place) => {
    const [x, y] = place.split(" ");
    return `<circle class="dot line${index}" cx="${x}" cy="${y}" r="3">${title}</circle>`;
  });
  const path = `<path class="line line${index}${dashed ? " dashed" : ""}" d="M${places.join("L")}">${title}</path>`;
  return path + (dots ? circles.join("") : "");
}

interface Scale {
  readonly place: Place;
  readonly ticks: readonly number[];
}

/** From data to pixels `from`..`to`. A linear axis begins at 0, a logarithmic one at a power of 10. */
function scaleOf(axis: Axis, values: readonly number[], from: number, to: number): Scale {
  if (axis.scale === "log") return logScale(values, from, to);
  const most = axis.max ?? values.reduce((a, b) => Math.max(a, b), 0);
  const step = niceStep((most || 1) / 5);
  const end = axis.max ?? Math.ceil((most || 1) / step) * step;
  const count = Math.floor(end / step + 1e-9);
  return {
    place: (value) => from + ((to - from) * Math.min(value, end)) / end,
    ticks: Array.from({ length: count + 1 }, (_, i) => i * step),
  };
}

function logScale(values: readonly number[], from: number, to: number): Scale {
  const positive = values.filter((value) => value > 0);
  const first = Math.floor(Math.log10(positive.reduce((a, b) => Math.min(a, b), 1e9)));
  const reached = Math.ceil(Math.log10(positive.reduce((a, b) => Math.max(a, b), 10 ** first)));
  const last = Math.max(first + 1, reached);
  return {
    place: (value) => {
      const share = (Math.log10(Math.max(value, 10 ** first)) - first) / (last - first);
      return from + (to - from) * share;
    },
    ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
  };
}

/** 1, 2 or 5 times a power of 10, at least `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= least)!;
}

function tickText(value: number): string {
  if (value >= 10_000) return `${Number((value / 1000).toPrecision(6))}k`;
  return `${Number(value.toPrecision(6))}`;
}

const round = (pixels: number): number => Math.round(10 * pixels) / 10;
