import { describe, expect, test } from "vitest";
import { readConfig, readModelFiles } from "../../../runtime/model-folder/config-files.ts";
import { blobFolder } from "../../../runtime/model-folder/model-folder.ts";

function folder(files: Record<string, unknown>) {
  const entries = Object.entries(files).map(([name, content]) => {
    return [name, new Blob([typeof content === "string" ? content : JSON.stringify(content)])];
  });
  return blobFolder(new Map(entries as [string, Blob][]), "m");
}
const MINIMAL = { "config.json": { model_type: "llama" }, "tokenizer.json": { model: {} } };

test("the least a model has", async () => {
  expect(await readModelFiles(folder(MINIMAL))).toEqual({
    config: { model_type: "llama" },
    generation: { eosTokenIds: [] },
    pooling: {},
    tokenizer: { model: {} },
    tokenizerConfig: {},
    chatTemplate: undefined,
  });
});

test("all that a model may have", async () => {
  const files = await readModelFiles(
    folder({
      ...MINIMAL,
      "tokenizer_config.json": { eos_token: "x" },
      "chat_template.jinja": "{{ messages }}",
      "1_Pooling/config.json": { pooling_mode_mean_tokens: true },
      "generation_config.json": {
        eos_token_id: [2, 0],
        do_sample: true,
        temperature: 0.6,
        top_k: 20,
        top_p: 0.95,
        min_p: null,
        repetition_penalty: 1.1,
      },
    }),
  );
  expect(files.generation).toEqual({
    eosTokenIds: [2, 0],
    doSample: true,
    temperature: 0.6,
    topK: 20,
    topP: 0.95,
    repetitionPenalty: 1.1,
  });
  expect(files).toMatchObject({
    tokenizerConfig: { eos_token: "x" },
    chatTemplate: "{{ messages }}",
    pooling: { pooling_mode_mean_tokens: true },
  });
});

describe("the ids that end a text", () => {
  const ids = async (config: object, generation?: object) => {
    const files = { ...MINIMAL, "config.json": config };
    const all = generation ? { ...files, "generation_config.json": generation } : files;
    return (await readModelFiles(folder(all))).generation.eosTokenIds;
  };
  test.each([
    [{ eos_token_id: 5 }, undefined, [5]],
    [{ eos_token_id: 5 }, {}, [5]],
    [{ eos_token_id: 5 }, { eos_token_id: [6, 7] }, [6, 7]],
    [{ eos_token_id: 5 }, { eos_token_id: null }, []],
    [{}, { eos_token_id: 0 }, [0]],
  ])("%j and %j give %j", async (config, generation, expected) => {
    expect(await ids(config, generation)).toEqual(expected);
  });

  test.each(["2", [1, "2"], -1, 1.5, {}])("%j is refused", async (eos_token_id) => {
    await expect(ids({}, { eos_token_id })).rejects.toMatchObject({
      code: "bad_file",
      message: expect.stringMatching(/^m\/generation_config\.json has eos_token_id .* not an id/),
    });
    await expect(ids({ eos_token_id })).rejects.toThrow(/m\/config\.json has eos_token_id/);
  });
});

describe("refuses", () => {
  test.each(["config.json", "tokenizer.json"])("a folder without %s", async (name) => {
    const files: Record<string, unknown> = { ...MINIMAL };
    delete files[name];
    await expect(readModelFiles(folder(files))).rejects.toMatchObject({
      code: "file_not_found",
      message: expect.stringContaining(`m has no file ${name}`),
    });
  });

  test.each(["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])(
    "a broken %s, naming the place",
    async (name) => {
      await expect(
        readModelFiles(folder({ ...MINIMAL, [name]: '{\n"a":}' })),
      ).rejects.toMatchObject({
        code: "bad_file",
        message: `m/${name} is not valid JSON: line 2, column 5: expected a value, found "}"; download it again`,
      });
    },
  );

  test("a config that is a list, and a temperature that is a text", async () => {
    await expect(readConfig(folder({ "config.json": [] }))).rejects.toThrow(/holds no JSON object/);
    const files = { ...MINIMAL, "generation_config.json": { temperature: "hot" } };
    await expect(readModelFiles(folder(files))).rejects.toThrow(
      /has temperature "hot", not a number/,
    );
  });
});
