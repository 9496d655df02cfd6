/**
 * What rows of a plan sample: one token each, a guess of one, or all tokens of a round of drafts. Owns where
 * drafts lie between their rows, and which samples of a round are the answer's.
 */
import { countSublayers } from "../models/layer-plan.ts";
import type { PlannedRow } from "../scheduler/work-plan.ts";
import type { LiveSequence } from "./live-sequence.ts";
import type { SampledToken, SampleRow, Sampler } from "./sampler.ts";
import type { StepRow } from "./step-inputs.ts";

/** Of one row. */
export interface RowSamples {
  readonly row: PlannedRow;
  readonly samples: readonly SampleRow[];
  /** Of its round, as far as they were read by then. */
  readonly drafts: number[];
}

/** What came of a row that samples: tokens of the answer; none of a draft. */
export interface RowResult {
  readonly row: PlannedRow;
  readonly tokens: readonly SampledToken[];
}

/**
 * Where the drafts are that a row takes as tokens: with the host, or in entries of `last_token` behind
 * those of the slots. Begins the round with its first row.
 */
function draftsOf(
  sequence: LiveSequence,
  { drafts, kind, tokens }: PlannedRow,
  sampler: Sampler,
): StepRow["drafts"] {
  if (drafts === undefined) return undefined;
  const { from } = drafts;
  const { start, proposal } = sequence;
  const slot = sampler.draftTarget(sequence.slot!, 0);
  if (start.lookup) {
    sequence.drafts = [...proposal];
    return { from, slot, ids: proposal };
  }
  if (kind === "draft" && tokens.from + 1 === from) sequence.drafts = [];
  return { from, slot };
}

/** What a step computes of a planned row. */
export function stepRow(sequence: LiveSequence, planned: PlannedRow, sampler: Sampler): StepRow {
  const { ids, slot } = sequence;
  const { adapter, pooling } = sequence.start;
  const drafts = draftsOf(sequence, planned, sampler);
  const row = pooling ? { ...planned, sample: false } : planned;
  return { planned: row, ids, slot: slot!, adapter, pooling, drafts };
}

export function samplesOf(sequence: LiveSequence, row: PlannedRow, sampler: Sampler): RowSamples {
  const { kind, tokens } = row;
  const { drafts, numSampled: first } = sequence;
  const slot = sequence.slot!;
  const { sampling, pooling, guide } = sequence.start;
  const masks = guide?.masks ?? [];
  if (pooling) return { row, drafts, samples: [] };
  if (kind === "compute") {
    sequence.numSampled += 1;
    return { row, drafts, samples: [{ slot, sampling, position: first, mask: masks[0] }] };
  }
  // What follows the token before the drafts is the first of the round.
  const samples = Array.from({ length: tokens.to - tokens.from }, (_, i) => {
    const index = tokens.from + i + 1 - row.drafts!.from;
    const target = sampler.draftTarget(slot, index);
    return { slot, sampling, position: first + index, target, mask: masks[index] };
  });
  return { row, drafts, samples };
}

/** @param read What all of them sampled, row after row. */
export function rowResults(
  sampled: readonly RowSamples[],
  read: readonly SampledToken[],
): RowResult[] {
  let first = 0;
  return sampled.map((samples) => {
    const end = first + samples.samples.length;
    const tokens = standing(samples, read.slice(first, end));
    first = end;
    return { row: samples.row, tokens };
  });
}

/**
 * Of what a row sampled, the tokens of the answer: with drafts that were verified, up to the first that
 * differs from its draft. A draft is none; it is kept for the row that verifies it.
 */
export function standing(
  { row: { kind }, drafts }: RowSamples,
  tokens: readonly SampledToken[],
): readonly SampledToken[] {
  if (kind === "compute") return tokens;
  if (kind === "draft") {
    drafts.push(tokens[0].id);
    return [];
  }
  const differs = tokens.findIndex(({ id }, i) => id !== drafts[i]);
  return differs < 0 ? tokens : tokens.slice(0, differs + 1);
}

/**
 * Layers that a row ran for tokens behind the prompt, a sublayer counted as half.
 * @param numLayers Where its plan does not say: those of the model, or that it ran before it left off.
 */
export function layerTokens(
  { tokens: { from, to }, layerPlan }: PlannedRow,
  { start: { promptIds } }: LiveSequence,
  numLayers: number,
): number {
  const count = Math.max(0, to - Math.max(from, promptIds.length));
  const isSaid = layerPlan !== undefined && layerPlan.exits === undefined;
  return count * (isSaid ? countSublayers(layerPlan) / 2 : numLayers);
}
