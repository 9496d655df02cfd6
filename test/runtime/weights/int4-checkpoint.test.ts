// Which quantised checkpoints are read, which are refused and how; values are the business of
// test/kernels/int4.all.test.ts.

import { describe, expect, test } from "vitest";

import { openCheckpoint } from "../../../runtime/weights/open-checkpoint.ts";
import { readQuantisation } from "../../../runtime/weights/quantisation-config.ts";
import { quantisedCheckpoint } from "../../../runtime/weights/quantised-checkpoint.ts";
import { type Pieces, streamTensor } from "../../../runtime/weights/stream.ts";
import {
  streamTransposed,
  type TransposedMatrix,
} from "../../../runtime/weights/transposed-groups.ts";
import { folderOf, type Int4Model, int4Model, type Method } from "../int4-model.ts";
import { safetensorsFile, type TensorSpec } from "./safetensors-file.ts";

const opened = async ({ config, tensors }: Pick<Int4Model, "config" | "tensors">) =>
  quantisedCheckpoint(
    await openCheckpoint(folderOf(config, safetensorsFile(tensors))),
    readQuantisation(config),
  );

const Q = "model.layers.0.self_attn.q_proj";
const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ name: "WeftError", code, message: expect.stringMatching(message) });

async function bytesOfAll(pieces: Pieces): Promise<number[]> {
  const all: number[] = [];
  for await (const { bytes } of pieces) all.push(...bytes);
  return all;
}

describe("config.json", () => {
  const hf = (settings: object) => ({
    quantization_config: { bits: 4, group_size: 64, ...settings },
  });
  const mlx = (settings: object) => ({ quantization: { bits: 4, group_size: 64, ...settings } });

  test("without quantisation says nothing", () => {
    expect(readQuantisation({})).toBeUndefined();
    expect(readQuantisation({ quantization: null, quantization_config: null })).toBeUndefined();
  });

  test("names a method, a group size and what differs", () => {
    const moduleGroupSizes = new Map([["lm_head", 32]]);
    expect(
      readQuantisation(mlx({ lm_head: { bits: 4, group_size: 32 }, embed: false, mode: "affine" })),
    ).toEqual({ method: "mlx", groupSize: 64, moduleGroupSizes, zeroPointShift: 0 });
    expect(readQuantisation(hf({ quant_method: "awq", version: "GEMM" }))).toMatchObject({
      method: "awq",
      zeroPointShift: 0,
    });
    expect(
      readQuantisation(hf({ quant_method: "gptq", group_size: -1, dynamic: {} })),
    ).toMatchObject({ method: "gptq", groupSize: -1, zeroPointShift: 1 });
    const gptq2 = { quant_method: "gptq", checkpoint_format: "gptq_v2" };
    expect(readQuantisation(hf(gptq2))).toMatchObject({ zeroPointShift: 0 });
    // Groups that were made before columns were sorted are in place.
    const staticGroups = { quant_method: "gptq", desc_act: true, static_groups: true };
    expect(readQuantisation(hf(staticGroups))).toMatchObject({ method: "gptq" });
  });

  test.each([
    [mlx({ bits: 8 }), /quantization\.bits = 8/],
    [mlx({ mode: "mxfp4" }), /quantization\.mode = "mxfp4"/],
    [mlx({ lm_head: { bits: 6, group_size: 64 } }), /quantization\.lm_head\.bits = 6/],
    [mlx({ group_size: 16 }), /group_size = 16, groups of a multiple of 32/],
    [mlx({ group_size: "64" }), /group_size = "64"/],
    [{ quantization: 4 }, /quantization = 4/],
    [hf({ quant_method: "bitsandbytes" }), /quant_method = "bitsandbytes"/],
    [hf({ quant_method: "compressed-tensors" }), /quant_method = "compressed-tensors"/],
    [hf({ quant_method: "fp8" }), /quant_method = "fp8"/],
    [hf({}), /quant_method = nothing/],
    [hf({ quant_method: "awq", bits: 8 }), /quantization_config\.bits = 8/],
    [hf({ quant_method: "awq", version: "gemv" }), /version = "gemv"/],
    [hf({ quant_method: "gptq", bits: 3 }), /quantization_config\.bits = 3/],
    [hf({ quant_method: "gptq", desc_act: true }), /desc_act = true/],
    [hf({ quant_method: "gptq", checkpoint_format: "marlin" }), /checkpoint_format = "marlin"/],
    [hf({ quant_method: "gptq", dynamic: { "-:lm_head": {} } }), /dynamic = /],
  ])("%j is refused by name", (config, message) => {
    expect(() => readQuantisation(config)).toThrow(refused("unsupported_model", message));
    expect(() => readQuantisation(config)).toThrow(/supported.*: take|supported; take/);
  });
});

describe("tensors", () => {
  const changed = async (
    method: Method,
    part: string,
    change: (spec: TensorSpec) => TensorSpec,
  ) => {
    const model = await int4Model(method);
    const name = `${Q}.${part}`;
    return opened({
      ...model,
      tensors: { ...model.tensors, [name]: change(model.tensors[name]!) },
    });
  };

  test.each(["mlx", "awq", "gptq"] as const)("of %s", async (method) => {
    const checkpoint = await opened(await int4Model(method));
    expect(checkpoint.has(`${Q}.weight`)).toBe(true);
    expect(checkpoint.has("model.layers.9.self_attn.q_proj.weight")).toBe(false);
    const wanted = checkpoint.tensor(`${Q}.weight`, [128, 64]);
    expect(wanted.shape).toEqual([128, 64]);
    expect(checkpoint.tensor(`${Q}.weight`)).toMatchObject({
      shape: [128, 64],
      dtype: wanted.dtype,
    });
    expect(await bytesOfAll(streamTensor(wanted))).toHaveLength(wanted.byteLength);
    expect(checkpoint.tensor("model.norm.weight", [64])).toMatchObject({ dtype: "f16" });
    expect(() => checkpoint.tensor(`${Q}.weight`, [64, 128])).toThrow(
      refused("bad_safetensors", /has shape \[.*\], config.json asks for/),
    );
    expect(() => checkpoint.tensor(`${Q}.weight`, [128, 48])).toThrow(
      refused("unsupported_dtype", /shape \[128,48\] in groups of (32|64) columns/),
    );
  });

  test("another group size than the file's is refused, and read where MLX names the module", async () => {
    const model = await int4Model("mlx");
    const group = (settings: object) => ({ ...model, config: { quantization: settings } });
    const wrong = await opened(group({ bits: 4, group_size: 64 }));
    expect(() => wrong.tensor(`${Q}.weight`, [128, 64])).toThrow(/scales .* asks for \[128,1\]/);
    const right = { bits: 4, group_size: 64, [Q]: { bits: 4, group_size: 32 } };
    const named = await opened(group(right));
    expect(named.tensor(`${Q}.weight`, [128, 64]).dtype).toBe("affine4_f16_g32");
  });

  test("a missing part, a wrong dtype", async () => {
    const model = await int4Model("awq");
    const { [`${Q}.qzeros`]: _, ...tensors } = model.tensors;
    const lacking = await opened({ ...model, tensors });
    expect(() => lacking.tensor(`${Q}.weight`)).toThrow(
      refused("missing_tensor", /q_proj\.qzeros/),
    );
    const floats = await changed("awq", "qweight", (spec) => ({ ...spec, dtype: "F32" }));
    expect(() => floats.tensor(`${Q}.weight`)).toThrow(
      refused("unsupported_dtype", /qweight .* is F32, awq with 4 bits has I32/),
    );
  });

  test("act-order is found in the data where config.json is silent", async () => {
    const moved = await changed("gptq", "g_idx", (spec) => {
      const bytes = spec.bytes.slice();
      bytes[4 * 40] = 0;
      return { ...spec, bytes };
    });
    const reading = bytesOfAll(streamTensor(moved.tensor(`${Q}.weight`, [128, 64])));
    await expect(reading).rejects.toEqual(
      refused("unsupported_model", /g_idx .* puts column 40 into group 0, .* is in group 1/),
    );
  });

  test("a matrix larger than a stripe of host memory is read in several", async () => {
    for (const method of ["awq", "gptq"] as const) {
      const { tensors } = await opened(await int4Model(method));
      const part = (name: string) => tensors.get(`${Q}.${name}`)!;
      const matrix: TransposedMatrix = {
        ...{ method, rows: 128, columns: 64, groupColumns: method === "awq" ? 64 : 32 },
        ...{ blockColumns: 32, zeroPointShift: 0 },
        ...{ qweight: part("qweight"), qzeros: part("qzeros"), scales: part("scales") },
      };
      const whole = await bytesOfAll(streamTransposed(matrix, {}));
      expect(whole).toHaveLength(128 * 40);
      const stripes = streamTransposed(matrix, { pieceBytes: 3 * 40 }, 24 * 40);
      expect(await bytesOfAll(stripes)).toEqual(whole);
    }
  });

  test("leaving early stops reading", async () => {
    const checkpoint = await opened(await int4Model("mlx"));
    for await (const { offset } of streamTensor(checkpoint.tensor(`${Q}.weight`), {
      pieceBytes: 40,
    })) {
      if (offset > 0) break;
    }
    const signal = AbortSignal.abort();
    const aborted = bytesOfAll(streamTensor(checkpoint.tensor(`${Q}.weight`), { signal }));
    await expect(aborted).rejects.toEqual(refused("aborted", /aborted/));
  });
});
