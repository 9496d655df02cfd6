/** `weft logits`: float32 logits of given ids, to compare with any other implementation. */
import { type LoadModelOptions, logits as modelLogits, type PositionLogits } from "../../node.ts";
import { defineCommand, type Terminal } from "./command.ts";
import { layerPlan } from "./layer-plan-option.ts";
import { loadOptions, modelOptions, openDevice, requiredModel } from "./model-options.ts";
import { required } from "./option.ts";
import { choice, flag, integers } from "./option-types.ts";
import { ProgressBar } from "./progress-bar.ts";

const SHOWN = 5;

const options = {
  ...modelOptions,
  ids: integers(0, 2 ** 31, "token ids, e.g. 1,5,9"),
  positions: choice(["all", "last"], "logits of which positions; default all"),
  layerPlan,
  json: flag("one JSON object on stdout"),
};

export const logits = defineCommand({
  name: "logits",
  summary: "logits per position, to compare with any other implementation",
  options,
  run: async (values, terminal) => {
    const model = requiredModel(values);
    const ids = required(values.ids, "--ids", "1,5,9");
    const { positions, json, layerPlan } = values;
    const progress = new ProgressBar(terminal);
    const device = await openDevice(values, terminal);
    const onProgress: LoadModelOptions["onProgress"] = progress.bytes;
    try {
      const rows = modelLogits(device, model, ids, {
        ...loadOptions(values, terminal),
        onProgress,
        ...{ positions, layerPlan },
      });
      await (json ? writeJson : writeLikeliest)(rows, terminal, progress);
      return 0;
    } finally {
      progress.clear();
      device.destroy();
    }
  },
});

/** Row by row: the whole object can be longer than the longest string. */
async function writeJson(
  rows: AsyncIterable<PositionLogits>,
  terminal: Terminal,
  progress: ProgressBar,
): Promise<void> {
  let before = "";
  for await (const { position, tokenId, logits } of rows) {
    if (before === "") progress.clear();
    const head = `{"vocabSize":${logits.length},"positions":[`;
    await write(terminal, before === "" ? head : before);
    await write(terminal, JSON.stringify({ position, tokenId, logits: [...logits] }));
    before = ",";
  }
  await write(terminal, "]}\n");
}

async function writeLikeliest(
  rows: AsyncIterable<PositionLogits>,
  terminal: Terminal,
  progress: ProgressBar,
): Promise<void> {
  for await (const { position, tokenId, logits } of rows) {
    if (position === 0) progress.clear();
    const best = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, SHOWN);
    const shown = best.map((id) => `${id}: ${logits[id].toFixed(4)}`).join("  ");
    await write(terminal, `position ${position}  token ${tokenId}  →  ${shown}\n`);
  }
}

async function write({ stdout, signal }: Terminal, text: string): Promise<void> {
  if (stdout.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      stdout.off("drain", done);
      resolve();
    };
    // A reader that left never drains.
    signal.addEventListener("abort", done);
    stdout.on("drain", done);
  });
  signal.throwIfAborted();
}
