/**
 * Which rows of a step run which of its stages: one after another, each for as long as the same rows do.
 * Owns their order in the step, by which most runs take the first of them: those need no packing.
 */
import type { LayerPlan, StageRange } from "../scheduler/work-plan.ts";

export interface StagedRow {
  readonly stages: StageRange;
  /** Undefined runs every stage. */
  readonly layerPlan?: LayerPlan;
  /** Gets logits. */
  readonly isSampled: boolean;
}

/** Stages [from, to) for some rows, which are not none. */
export interface StageRun {
  readonly from: number;
  readonly to: number;
  /** Rising indices of rows, in the order of the step. */
  readonly rows: readonly number[];
  /** All sublayers of one row, of which the device runs what it decides. */
  readonly isRouted?: boolean;
}

export interface StagedStep {
  /** Indices of the rows as they were given, in the order of the step. */
  readonly order: readonly number[];
  /** `rows` count in that order. */
  readonly runs: readonly StageRun[];
  /** Some of the rows that are sampled leave the last MLP out. */
  readonly splitsLastMlp: boolean;
}

/** @param numStages Those of the model: the last is the head, which only sampled rows run. */
export function stageRuns(rows: readonly StagedRow[], numStages: number): StagedStep {
  const all = [...rows.keys()];
  const whole = { from: 0, to: numStages };
  if (rows.every(isWhole(numStages))) {
    return { order: all, runs: [{ ...whole, rows: all }], splitsLastMlp: false };
  }
  const counts = rows.map((row) => countRuns(row, numStages));
  // Whoever has been embedded before comes last: the embedding takes the first rows.
  const isLate = (row: number) => (rows[row].stages.from > 0 ? 1 : 0);
  const order = all.toSorted((a, b) => isLate(a) - isLate(b) || counts[b] - counts[a]);
  const ordered = order.map((row) => rows[row]);
  const isRouted = (row: StagedRow) => row.layerPlan?.isRouted === true;
  const splitsLastMlp = rows.some(
    (row) => row.isSampled && (isRouted(row) || !runsStage(row, numStages - 2)),
  );
  // The head, and the last MLP where it belongs to it, take the sampled rows from among all.
  const endOfRows = splitsLastMlp ? numStages - 1 : numStages - 2;
  const runs: StageRun[] = [];
  for (let stage = 0; stage < numStages; stage++) {
    const running = all.filter((row) => {
      if (stage >= endOfRows) return true;
      const isApart = stage > 0 && isRouted(ordered[row]);
      return !isApart && runsStage(ordered[row], stage);
    });
    const last = runs.at(-1);
    if (running.length === 0) continue;
    if (last?.to === stage && isSame(last.rows, running)) {
      runs[runs.length - 1] = { ...last, to: stage + 1 };
    } else {
      runs.push({ from: stage, to: stage + 1, rows: running });
    }
  }
  const routed = all.filter((row) => isRouted(ordered[row]));
  const sublayers = routed.map((row) => {
    return { from: 1, to: numStages - 1, rows: [row], isRouted: true };
  });
  runs.splice(1, 0, ...sublayers);
  return { order, runs, splitsLastMlp };
}

const isWhole =
  (numStages: number) =>
  ({ stages, layerPlan }: StagedRow): boolean =>
    stages.from === 0 && stages.to === numStages && layerPlan === undefined;

const runsStage = ({ stages, layerPlan }: StagedRow, stage: number): boolean =>
  stage >= stages.from && stage < stages.to && (layerPlan?.runs[stage] ?? true);

function countRuns(row: StagedRow, numStages: number): number {
  let count = 0;
  for (let stage = 0; stage < numStages; stage++) if (runsStage(row, stage)) count += 1;
  return count;
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((row, i) => row === b[i]);
