/**
 * Which rows of a step run which of its stages: one after another, each for as long as the same rows do.
 * Owns their order in the step, by which most runs take the first of them: those need no packing.
 */
import type { LayerExits, LayerPlan, PlannedRow, StageRange } from "../scheduler/work-plan.ts";

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
  /** Of attention, nothing but keys and values; of other stages nothing. */
  readonly keysOnly?: boolean;
  /** Layers that rows may leave off before, as the device decides: all that are left, of rows of one plan. */
  readonly exits?: LayerExits;
  /** All sublayers of one row, of which the device runs what it decides. */
  readonly isRouted?: boolean;
}

export interface StagedStep {
  /** Indices of the rows as they were given, in the order of the step. */
  readonly order: readonly number[];
  /** `rows` count in that order. */
  readonly runs: readonly StageRun[];
  /** The last MLP is not for all that are sampled, or not for them alone. */
  readonly splitsLastMlp: boolean;
}

/**
 * @param numStages Those of the model: the last is the head, which only sampled rows run.
 * @param needsHidden Rows that are not sampled run the last MLP too.
 */
export function stageRuns(
  rows: readonly StagedRow[],
  numStages: number,
  needsHidden = false,
): StagedStep {
  const all = [...rows.keys()];
  if (rows.every(runsAll(numStages))) {
    const runs = [{ from: 0, to: numStages, rows: all }];
    return { order: all, runs, splitsLastMlp: needsHidden };
  }
  const counts = rows.map((row) => countRuns(row, numStages));
  // Whoever has been embedded before comes last: the embedding takes the first rows.
  const isLate = (row: number) => (rows[row].stages.from > 0 ? 1 : 0);
  const order = all.toSorted((a, b) => isLate(a) - isLate(b) || counts[b] - counts[a]);
  const ordered = order.map((row) => rows[row]);
  const isRouted = (row: StagedRow) => row.layerPlan?.isRouted === true;
  const exitsOf = ({ layerPlan }: StagedRow) => layerPlan?.exits;
  const isSplit = rows.some((row) => {
    const isApart = isRouted(row) || exitsOf(row) !== undefined;
    return row.isSampled && (isApart || !runsStage(row, numStages - 2));
  });
  const splitsLastMlp = needsHidden || isSplit;
  // The head, and the last MLP where it belongs to it, take the sampled rows from among all.
  const endOfRows = splitsLastMlp ? numStages - 1 : numStages - 2;
  const runs: StageRun[] = [];
  const [whole, keys] = [new OpenRun(runs, {}), new OpenRun(runs, { keysOnly: true })];
  for (let stage = 0; stage < numStages; stage++) {
    const running = all.filter((row) => {
      if (stage >= endOfRows) return true;
      const apart = isRouted(ordered[row]) ? 1 : (exitsOf(ordered[row])?.stages[0] ?? numStages);
      const isApart = stage >= apart;
      return !isApart && runsStage(ordered[row], stage);
    });
    const filling = all.filter((row) => fillsStage(ordered[row], stage));
    // What keys and values are made of stays as it is while a row runs nothing.
    keys.add(stage, filling, (row, at) => !runsStage(ordered[row], at));
    whole.add(stage, running, () => false);
  }
  const routed = all.filter((row) => isRouted(ordered[row]));
  const sublayers = routed.map((row) => {
    return { from: 1, to: numStages - 1, rows: [row], isRouted: true };
  });
  runs.splice(1, 0, ...sublayers);
  const ways = new Set(ordered.flatMap((row) => exitsOf(row) ?? []));
  const leaving = [...ways].map((exits): StageRun => {
    const members = all.filter((row) => exitsOf(ordered[row]) === exits);
    return { from: exits.stages[0], to: numStages - 1, rows: members, exits };
  });
  // The head is the last run of all: it takes every row that is sampled.
  runs.splice(runs.length - 1, 0, ...leaving);
  return { order, runs, splitsLastMlp };
}

/** A run that grows stage by stage, for as long as the same rows are in it. */
class OpenRun {
  readonly #runs: StageRun[];
  readonly #kind: Pick<StageRun, "keysOnly">;
  /** Among all runs. */
  #index = -1;

  constructor(runs: StageRun[], kind: Pick<StageRun, "keysOnly">) {
    this.#runs = runs;
    this.#kind = kind;
  }

  /** @param rests Whether the run may go on past a stage, as far as a row is concerned. */
  add(
    stage: number,
    rows: readonly number[],
    rests: (row: number, stage: number) => boolean,
  ): void {
    if (rows.length === 0) return;
    const open = this.#runs[this.#index];
    if (open && isSame(open.rows, rows) && this.#reaches(open, stage, rests)) {
      this.#runs[this.#index] = { ...open, to: stage + 1 };
      return;
    }
    this.#index = this.#runs.length;
    this.#runs.push({ from: stage, to: stage + 1, rows, ...this.#kind });
  }

  #reaches(
    { to, rows }: StageRun,
    stage: number,
    rests: (row: number, stage: number) => boolean,
  ): boolean {
    for (let at = to; at < stage; at++) if (!rows.every((row) => rests(row, at))) return false;
    return true;
  }
}

const runsAll =
  (numStages: number) =>
  ({ stages, layerPlan }: StagedRow): boolean =>
    stages.from === 0 && stages.to === numStages && layerPlan === undefined;

const runsStage = ({ stages, layerPlan }: StagedRow, stage: number): boolean =>
  stage >= stages.from && stage < stages.to && (layerPlan?.runs[stage] ?? true);

const fillsStage = ({ stages, layerPlan }: StagedRow, stage: number): boolean =>
  stage >= stages.from && stage < stages.to && layerPlan?.fills?.[stage] === true;

function countRuns(row: StagedRow, numStages: number): number {
  let count = 0;
  for (let stage = 0; stage < numStages; stage++) if (runsStage(row, stage)) count += 1;
  return count;
}

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((row, i) => row === b[i]);

/** All rows of the step, one token each. */
export const isWhole = (
  { rows }: StageRun,
  all: readonly { readonly planned: Pick<PlannedRow, "tokens"> }[],
): boolean =>
  rows.length === all.length &&
  all.every(({ planned: { tokens } }) => tokens.to === tokens.from + 1);

/** The first rows of the step, and no others. */
export const isFirst = ({ rows }: StageRun): boolean => rows.at(-1) === rows.length - 1;
