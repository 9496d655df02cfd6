/** The sampling kernels at a model's vocabulary: greedy, and a draw with top-k and top-p. */
import {
  type Kernel,
  maskWords,
  normal,
  PLAIN,
  packSettings,
  SETTINGS_WORDS,
  sampleArgmax,
  sampleDraw,
  sampleHistory,
  sampleLogprobs,
  sampleScores,
  sampleTiles,
  seededRandom,
} from "../../kernels/index.ts";
import type { Inputs } from "./contents.ts";
import type { LabCase } from "./lab-case.ts";
import type { ModelShape } from "./model-shapes.ts";

/** Tokens that `sampleTiles` counts as one tile. */
const TILE = 1024;
/** Distinct tokens that a sequence with penalties has seen. */
const SEEN = 256;

export function samplingCases({ name: model, vocabSize: V }: ModelShape, R: number): LabCase[] {
  const tiles = sampleTiles(V);
  const dims = {
    ...{ R, V, W: maskWords(V), tiles, S: R, C: R, B: 1 },
    ...{ historyRows: R, biasEntries: 0, maskedRows: 0 },
    ...{ drawnRows: R, topKRows: R, topPRows: R, logprobRows: R, topRows: R },
  };
  const one = (kernel: Kernel, inputs: () => Inputs, more = {}): LabCase => ({
    ...{ model, rows: R, role: "sample", inputs },
    operation: kernel.name,
    kernels: [kernel],
    dims: { ...dims, ...more },
  });
  return [
    one(sampleArgmax, () => ({ settings: settings(R) })),
    one(sampleScores, () => ({
      settings: settings(R),
      bias: new Uint32Array(2),
      history: new Uint32Array(R * V),
      mask: new Uint32Array(R * maskWords(V)),
    })),
    one(sampleDraw, () => draw(R, V, tiles)),
    one(sampleLogprobs, () => ({
      settings: settings(R),
      picks: Uint32Array.from({ length: 2 * R }, (_, i) => (i % 2 ? 1 : 5)),
    })),
    one(
      sampleHistory,
      () => ({
        entries: Uint32Array.from({ length: 2 * SEEN }, (_, i) => (i % 2 ? 1 : (97 * i) % V)),
      }),
      { N: SEEN, row: 0 },
    ),
  ];
}

function settings(R: number): Uint32Array {
  const table = new Uint32Array(R * SETTINGS_WORDS);
  for (let row = 0; row < R; row++) {
    const own = { slot: row, historyRow: row, position: row, seed: BigInt(row) };
    const asked = { temperature: 0.8, topK: 40, topP: 0.95, topLogprobs: 5 };
    packSettings({ ...PLAIN, ...own, ...asked }, table, row);
  }
  return table;
}

function draw(R: number, V: number, tiles: number): Inputs {
  const scores = normal(R * V, seededRandom(3), 2);
  const tile_argmax = new Uint32Array(R * tiles);
  for (let row = 0; row < R; row++) {
    for (let id = 0; id < V; id++) {
      const at = row * tiles + Math.floor(id / TILE);
      const best = id % TILE === 0 ? id : tile_argmax[at];
      tile_argmax[at] = scores[row * V + id] > scores[row * V + best] ? id : best;
    }
  }
  return { settings: settings(R), scores, tile_argmax, history: new Uint32Array(R * V) };
}
