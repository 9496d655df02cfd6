/**
 * Weight formats: how four consecutive weights of a row are loaded as f32. A matrix kernel is
 * composed from one of these, a shape (matmul-*.ts) and an epilogue (epilogue.ts).
 */
import { type Element, elementBytes, type Storage, wgsl } from "./kernel.ts";

export type WeightFormatName = "f32" | "f16" | "bf16" | "f16_native";

export interface WeightFormat {
  readonly name: WeightFormatName;
  readonly storage: Storage;
  readonly element: Element;
  readonly features: readonly "shader-f16"[];
  /** `fn weights4(i)`: weights 4i … 4i+3 of the tensor. */
  readonly wgsl: string;
}

/** Formats decode exactly, so the same stored weights give the same bits on every tier. */
export const weightFormats: Readonly<Record<WeightFormatName, WeightFormat>> = {
  f32: {
    name: "f32",
    storage: "f32",
    element: "vec4<f32>",
    features: [],
    wgsl: wgsl`fn weights4(i: u32) -> vec4<f32> { return load_weight(i); }`,
  },
  f16: {
    name: "f16",
    storage: "f16",
    element: "vec2<u32>",
    features: [],
    wgsl: wgsl`fn weights4(i: u32) -> vec4<f32> {
  let w = load_weight(i);
  return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y));
}`,
  },
  bf16: {
    name: "bf16",
    storage: "bf16",
    element: "vec2<u32>",
    features: [],
    wgsl: wgsl`fn weights4(i: u32) -> vec4<f32> {
  let w = load_weight(i);
  let low = w << vec2<u32>(16u);
  let high = w & vec2<u32>(0xffff0000u);
  return bitcast<vec4<f32>>(vec4<u32>(low.x, high.x, low.y, high.y));
}`,
  },
  f16_native: {
    name: "f16_native",
    storage: "f16",
    element: "vec4<f16>",
    features: ["shader-f16"],
    wgsl: wgsl`fn weights4(i: u32) -> vec4<f32> { return vec4<f32>(load_weight(i)); }`,
  },
};

/** Bytes of one weight as the WGSL loads it. */
export const weightBytes = (format: WeightFormat): number => elementBytes(format.element) / 4;
