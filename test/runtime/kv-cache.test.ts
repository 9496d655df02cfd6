// How the KV cache's memory is divided where layers keep different things.

import { expect, test } from "vitest";
import { readDecoderSpec } from "../../models/registry.ts";
import { groupBlockBytes, planKvCache } from "../../runtime/kv-cache.ts";
import { randomShapes } from "../../runtime/model-folder/random-shapes.ts";

const MIB = 2 ** 20;

/** Blocks, and MiB, of each kind of layer. */
async function divided(shape: string, budgetMiB: number) {
  const { groups, totalBytes } = planKvCache(await readDecoderSpec({ ...randomShapes[shape] }), {
    ...{ storage: "f16", blockTokens: 32, budgetBytes: budgetMiB * MIB },
    limits: {
      ...{ maxBindingBytes: 256 * MIB, maxBufferBytes: 256 * MIB },
      ...{ offsetAlignmentBytes: 256, maxStorageBuffers: 8 },
    },
    ...{ maxTokensPerPlan: 512, maxRows: 16 },
  });
  expect(totalBytes).toBeLessThanOrEqual(budgetMiB * MIB);
  const of = (kind: string) => groups.find((group) => group.kind === kind)!;
  const mib = (kind: string) => (of(kind).numBlocks * groupBlockBytes(of(kind))) / MIB;
  return { blocks: of("window").numBlocks, window: mib("window"), full: mib("full") };
}

test("convolutions keep what 16 answers and four chunks of prompts see, attention gets the rest", async () => {
  // Two blocks for each answer, 16 for each chunk, and the trash block; 2.5 MiB in ten layers.
  expect(await divided("lfm2-1.2b", 1024)).toEqual({ blocks: 97, window: 242.5, full: 781.5 });
  expect(await divided("lfm2-8b-a1b", 1024)).toMatchObject({ blocks: 97, window: 436.5 });
});

test("of little memory convolutions take half, or what one chunk needs", async () => {
  expect(await divided("lfm2-1.2b", 256)).toMatchObject({ blocks: 51, window: 127.5 });
  expect(await divided("lfm2-1.2b", 80)).toMatchObject({ blocks: 19, window: 47.5 });
  // Then both have as many tokens.
  const { blocks, full } = await divided("lfm2-1.2b", 28);
  expect([blocks, full]).toEqual([9, 5.25]);
});
