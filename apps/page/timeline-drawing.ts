/** The timeline on a canvas. Knows lanes and colours; neither the engine nor the page. */
import type { Palette } from "./canvas.ts";
import { WINDOW_MS } from "./monitor.ts";
import { count, duration } from "./quantities.ts";
import type { Lane, Phase, PhaseSlice, PlanSlice } from "./timeline.ts";

export interface TimelineData {
  readonly width: number;
  readonly height: number;
  /** The right edge. */
  readonly nowMs: number;
  readonly plans: readonly PlanSlice[];
  readonly lanes: readonly Lane[];
}

const GUTTER = 68;
const GPU_HEIGHT = 34;
const LANE_HEIGHT = 18;
const AXIS_HEIGHT = 20;
/** An empty page shows where lanes will be. */
const LEAST_LANES = 3;

export const timelineHeight = (numLanes: number): number =>
  GPU_HEIGHT + LANE_HEIGHT * Math.max(LEAST_LANES, numLanes) + AXIS_HEIGHT;

/** What lies under a point, in words; empty where nothing does. */
export function timelineAt(
  { width, nowMs, plans, lanes }: TimelineData,
  x: number,
  y: number,
): string {
  const atMs = nowMs - WINDOW_MS + (WINDOW_MS * (x - GUTTER)) / (width - GUTTER);
  const isThere = (slice: { fromMs: number; toMs: number }) =>
    slice.fromMs <= atMs && atMs < slice.toMs;
  const lasts = ({ fromMs, toMs }: { fromMs: number; toMs: number }) => duration(toMs - fromMs);
  if (x < GUTTER) return "";
  if (y < GPU_HEIGHT) {
    const plan = plans.find(isThere);
    if (plan === undefined) return "";
    const taken = plan.preempted > 0 ? `, ${plan.preempted} taken back` : "";
    return `${count(plan.rows, "row")}, ${count(plan.tokens, "token")}, ${lasts(plan)}${taken}`;
  }
  const lane = lanes[Math.floor((y - GPU_HEIGHT) / LANE_HEIGHT)];
  for (const { id, priority, slices } of lane?.requests ?? []) {
    const slice = slices.find(isThere);
    if (slice)
      return `request ${id} of ${lane.client}, ${priority}: ${slice.phase}, ${lasts(slice)}`;
  }
  return "";
}

export function drawTimeline(
  context: CanvasRenderingContext2D,
  palette: Palette,
  { width, height, nowMs, plans, lanes }: TimelineData,
): void {
  const fromMs = nowMs - WINDOW_MS;
  const x = (ms: number) => GUTTER + ((width - GUTTER) * (ms - fromMs)) / WINDOW_MS;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  drawAxis(context, palette, { width, height }, x, nowMs);
  label(context, palette.soft, "GPU", GPU_HEIGHT / 2);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height);
  context.clip();
  drawPlans(context, palette, plans, x);
  for (const [i, { requests }] of lanes.entries()) {
    const top = GPU_HEIGHT + i * LANE_HEIGHT;
    for (const { slices } of requests)
      for (const slice of slices) drawPhase(context, palette, slice, x, top);
  }
  context.restore();
  for (const [i, { client }] of lanes.entries())
    label(context, palette.text, client, GPU_HEIGHT + (i + 0.5) * LANE_HEIGHT);
}

function label(context: CanvasRenderingContext2D, color: string, text: string, y: number): void {
  context.fillStyle = color;
  context.textAlign = "left";
  context.fillText(text, 0, y);
}

/** A line each second, a number every other. */
function drawAxis(
  context: CanvasRenderingContext2D,
  { line, soft }: Palette,
  { width, height }: { width: number; height: number },
  x: (ms: number) => number,
  nowMs: number,
): void {
  const bottom = height - AXIS_HEIGHT;
  context.fillStyle = line;
  for (let s = 0; s <= WINDOW_MS / 1000; s++) {
    const at = Math.min(width - 1, Math.round(x(nowMs - 1000 * s)));
    context.fillRect(at, 0, 1, bottom);
  }
  context.fillRect(0, GPU_HEIGHT - 1, width, 1);
  context.fillStyle = soft;
  for (let s = 0; s < WINDOW_MS / 1000; s += 2) {
    context.textAlign = s === 0 ? "right" : "center";
    context.fillText(
      s === 0 ? "now" : `−${s} s`,
      x(nowMs - 1000 * s),
      bottom + AXIS_HEIGHT / 2 + 1,
    );
  }
}

/** As high as it has rows; who was taken back by it is a mark above. */
function drawPlans(
  context: CanvasRenderingContext2D,
  { soft, text }: Palette,
  plans: readonly PlanSlice[],
  x: (ms: number) => number,
): void {
  const most = plans.reduce((rows, plan) => Math.max(rows, plan.rows), 1);
  const bottom = GPU_HEIGHT - 3;
  for (const { fromMs, toMs, rows, preempted } of plans) {
    const left = x(fromMs);
    const size = Math.max(1, x(toMs) - left - 0.5);
    const height = Math.max(2, (rows / most) * (bottom - 7));
    context.fillStyle = soft;
    context.fillRect(left, bottom - height, size, height);
    if (preempted === 0) continue;
    context.fillStyle = text;
    context.beginPath();
    context.moveTo(left - 4, 0);
    context.lineTo(left + 4, 0);
    context.lineTo(left, 6);
    context.fill();
  }
}

const OPACITY: Readonly<Record<Phase, number>> = {
  queued: 0,
  prefill: 1,
  decode: 0.5,
  preempted: 0,
};

function drawPhase(
  context: CanvasRenderingContext2D,
  { accent, soft, text }: Palette,
  { phase, fromMs, toMs }: PhaseSlice,
  x: (ms: number) => number,
  top: number,
): void {
  const left = x(fromMs);
  const size = Math.max(1.5, x(toMs) - left);
  const [y, height] = [top + 3, LANE_HEIGHT - 6];
  if (phase === "queued") {
    context.fillStyle = soft;
    context.fillRect(left, y + height / 2 - 1, size, 2);
  } else if (phase === "preempted") hatch(context, text, left, y, size, height);
  else {
    context.globalAlpha = OPACITY[phase];
    context.fillStyle = accent;
    context.fillRect(left, y, Math.max(1.5, size - 0.5), height);
    context.globalAlpha = 1;
  }
}

function hatch(
  context: CanvasRenderingContext2D,
  color: string,
  left: number,
  top: number,
  width: number,
  height: number,
): void {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  // On a fixed grid, so that it stands still while the lane moves.
  for (let at = left - height - (left % 4); at < left + width; at += 4) {
    context.moveTo(at, top + height);
    context.lineTo(at + height, top);
  }
  context.rect(left + 0.5, top + 0.5, Math.max(0.5, width - 1), height - 1);
  context.stroke();
  context.restore();
}
