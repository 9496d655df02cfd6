/**
 * How each sampled row wants its token: the table that the sampling kernels read.
 * Owns the layout of a row of 16 words; refuses no value, since requests are checked at the door.
 */
import { type Binding, read, wgsl } from "./kernel.ts";

export interface SamplingSettings {
  /** Where the sampled id goes: `last_token[slot]`. */
  readonly slot: number;
  /** Row of `history`; null for a sequence without penalties. */
  readonly historyRow: number | null;
  /** This sequence's run of entries in the `bias` pool. */
  readonly biasAt: number;
  readonly biasCount: number;
  /** 1 is off. */
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Below 1e-5 the row is greedy. */
  readonly temperature: number;
  /** 0 is off. */
  readonly topK: number;
  /** 1 is off. */
  readonly topP: number;
  /** 0 is off. */
  readonly minP: number;
  /** Index of the token in the request's output: the counter of its random draw. */
  readonly position: number;
  readonly seed: bigint;
  /** How many of the likeliest tokens to report with their logprobs; null for no logprobs. */
  readonly topLogprobs: number | null;
  /** Only tokens whose bits are set in the row of `mask` are candidates. */
  readonly isMasked: boolean;
}

/** Greedy, and no score changed: what a request that asks for nothing gets. */
export const PLAIN: SamplingSettings = {
  slot: 0,
  historyRow: null,
  biasAt: 0,
  biasCount: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  position: 0,
  seed: 0n,
  topLogprobs: null,
  isMasked: false,
};

export const SETTINGS_WORDS = 16;
/** Of a row: where its id goes. */
export const SLOT_WORD = 0;
/** Of a row: changes from token to token. */
export const POSITION_WORD = 11;

/** Of a row: 1 where its mask counts. It changes from token to token too. */
export const MASKED_WORD = 15;

/** A temperature below this is 0, as in vLLM; 1/temperature stays far from overflow. */
export const GREEDY_BELOW = 1e-5;

/** Score of a banned token: below every logit, above no candidate. */
export const BANNED: number = Math.fround(-3e38);

/** A bias of this or less bans its token, as OpenAI's documentation promises for -100. */
export const BAN_BIAS = -100;

const NONE = 0xffffffff;

export const settingsBinding: Binding = read(`R,${SETTINGS_WORDS}`, "vec4<u32>");
/** Bytes of one row; every lane reads them all. */
export const SETTINGS_BYTES = 4 * SETTINGS_WORDS;

/** Writes one row at word `row * SETTINGS_WORDS` of the table. */
export function packSettings(settings: SamplingSettings, table: Uint32Array, row: number): void {
  const floats = new Float32Array(table.buffer, table.byteOffset, table.length);
  const at = row * SETTINGS_WORDS;
  const { temperature, topP, minP, topLogprobs } = settings;
  table[at] = settings.slot;
  table[at + 1] = settings.historyRow ?? NONE;
  table[at + 2] = settings.biasAt;
  table[at + 3] = settings.biasCount;
  floats[at + 4] = settings.repetitionPenalty;
  floats[at + 5] = settings.presencePenalty;
  floats[at + 6] = settings.frequencyPenalty;
  floats[at + 7] = temperature < GREEDY_BELOW ? 0 : 1 / temperature;
  table[at + 8] = settings.topK;
  // A fraction of 2^32: the shader multiplies it with a 64-bit mass, exactly.
  table[at + 9] = topP >= 1 ? 0 : Math.min(Math.max(Math.round(topP * 2 ** 32), 1), 2 ** 32 - 1);
  floats[at + 10] = minP > 0 ? Math.log(minP) : BANNED;
  table[at + POSITION_WORD] = settings.position;
  table[at + 12] = Number(BigInt.asUintN(32, settings.seed));
  table[at + 13] = Number(BigInt.asUintN(32, settings.seed >> 32n));
  table[at + 14] = topLogprobs ?? NONE;
  table[at + MASKED_WORD] = settings.isMasked ? 1 : 0;
}

/** A row of the table as the references read it. */
export function unpackSettings(table: Uint32Array, row: number) {
  const floats = new Float32Array(table.buffer, table.byteOffset, table.length);
  const at = row * SETTINGS_WORDS;
  return {
    slot: table[at],
    historyRow: table[at + 1] === NONE ? null : table[at + 1],
    biasAt: table[at + 2],
    biasCount: table[at + 3],
    repetitionPenalty: floats[at + 4],
    presencePenalty: floats[at + 5],
    frequencyPenalty: floats[at + 6],
    inverseTemperature: floats[at + 7],
    topK: table[at + 8],
    topP: table[at + 9] === 0 ? 1 : table[at + 9] / 2 ** 32,
    logMinP: floats[at + 10],
    position: table[at + POSITION_WORD],
    seed: [table[at + 12], table[at + 13]] as const,
    topLogprobs: table[at + 14] === NONE ? null : table[at + 14],
    isMasked: table[at + MASKED_WORD] !== 0,
  };
}

/** `row_settings(row)`: uniform over a workgroup whose row is, since the table is read-only. */
export const settingsWgsl: string = wgsl`
struct Settings {
  slot: u32, history_row: u32, bias_at: u32, bias_count: u32,
  repetition: f32, presence: f32, frequency: f32, inverse_temperature: f32,
  top_k: u32, top_p: u32, log_min_p: f32, position: u32,
  seed: vec2<u32>, top_logprobs: u32, masked: u32,
}
const NONE = 0xffffffffu;
const BANNED = ${BANNED.toExponential()}f;

fn row_settings(row: u32) -> Settings {
  let a = load_settings(row * 4u);
  let b = load_settings(row * 4u + 1u);
  let c = load_settings(row * 4u + 2u);
  let d = load_settings(row * 4u + 3u);
  return Settings(
    a.x, a.y, a.z, a.w,
    bitcast<f32>(b.x), bitcast<f32>(b.y), bitcast<f32>(b.z), bitcast<f32>(b.w),
    c.x, c.y, bitcast<f32>(c.z), c.w,
    d.xy, d.z, d.w,
  );
}
`;
