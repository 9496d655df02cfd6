/**
 * Weight formats, by name. A new one is a file in formats/ and a line here, or in packed-formats.ts where only
 * some checkpoints have it.
 */
import type { WeightFormat, WeightFormatName } from "./formats/format.ts";
import { bf16, f16, f32 } from "./formats/plain.ts";
import { q4_0 } from "./formats/q4-0.ts";
import { q8_0 } from "./formats/q8-0.ts";

export type { WeightFormat, WeightFormatName } from "./formats/format.ts";

const formats: Partial<Record<WeightFormatName, WeightFormat>> = { f32, f16, bf16, q8_0, q4_0 };

/** Those that every checkpoint may become, and those that were brought for one. */
export const weightFormats = formats as Readonly<Record<WeightFormatName, WeightFormat>>;

export function bringFormats(more: Partial<Record<WeightFormatName, WeightFormat>>): void {
  Object.assign(formats, more);
}
