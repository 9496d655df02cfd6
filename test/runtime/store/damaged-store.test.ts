// Disks that lose what was written, and servers that do not answer for what is stored: what is damaged is found
// before it is used, and fetched again.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import { scale } from "../../harness/soak.ts";
import type { Fault } from "./model-server.ts";
import { PART_BYTES, shardedModel, singleModel } from "./small-model.ts";
import { isWeights, StoreRig, sameFiles } from "./store-rig.ts";

const NUM_RUNS = scale("download", 8, 50);

const rig = new StoreRig();

describe("a store whose disk loses bytes", () => {
  const weightParts = () =>
    [...rig.files.contents.keys()].filter((path) => /\/\d+-[0-9a-f]{64}$/.test(path));

  test.each(["flipped", "torn", "gone"] as const)(
    "fetches a part that is %s again when it is read",
    async (damage) => {
      const model = shardedModel();
      rig.server.serve("/m", model);
      await rig.newStore().download(rig.url);
      for (let seed = 1; seed <= NUM_RUNS; seed++) {
        const random = seededRandom(seed);
        const paths = weightParts();
        const path = paths[Math.floor(random() * paths.length)];
        const folder = await rig.newStore().open(rig.url);
        const bytes = rig.files.contents.get(path)!;
        if (damage === "gone") rig.files.contents.delete(path);
        else if (damage === "torn")
          rig.files.contents.set(path, bytes.slice(0, random() * bytes.length));
        else bytes[Math.floor(random() * bytes.length)] ^= 4;
        expect(await sameFiles(folder, model)).toBe(true);
        await rig.expectNothingBroken(model);
      }
      // And before it is opened: what is missing alone is fetched.
      const [first] = weightParts();
      rig.files.contents.delete(first);
      expect((await rig.newStore().list())[0].versions).toEqual([]);
      expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
      expect((await rig.newStore().list())[0].versions).toHaveLength(1);
    },
  );

  test.each([false, true])(
    "that were half a download finds which part (hash of the whole: %s)",
    async (said) => {
      rig.server.sendsReprDigest = said;
      const model = shardedModel();
      rig.server.serve("/m", model);
      let numParts = 0;
      rig.server.fault = (asked) =>
        isWeights(asked) && ++numParts > 12 ? { status: 503 } : undefined;
      await expect(rig.newStore(1).download(rig.url)).rejects.toMatchObject({
        code: "read_failed",
      });
      rig.server.fault = () => undefined;
      const [path] = weightParts().filter((each) => each.includes("/1-"));
      rig.files.contents.get(path)![99] ^= 16;
      rig.server.asked.length = 0;
      await rig.newStore().download(rig.url);
      await rig.expectNothingBroken(model);
      const ranges = rig.server.asked
        .filter(isWeights)
        .map(({ path, range }) => `${path} ${range}`);
      // Nothing is fetched twice, and the damaged part is.
      const parts = ranges.filter((range) => !/bytes=0-(1|65535)$/.test(range));
      expect(new Set(parts).size).toBe(parts.length);
      expect(parts.filter((range) => range.includes(`bytes=${PART_BYTES}-`))).toHaveLength(1);
    },
  );

  test("says so without a connection, and lists the model no more", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    const part = weightParts().find((path) => path.includes("/4-"))!;
    rig.files.contents.get(part)![7] ^= 1;
    await rig.server.stop();
    const folder = await new ModelStore(rig.files, { attempts: 1 }).open(rig.url);
    const source = await folder.open("model.safetensors");
    expect((await source.read(0, 100)).length).toBe(100);
    await expect(source.read(4 * PART_BYTES, 10)).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringMatching(
        /part 4 is damaged or gone .* load the model again with a connection/,
      ),
    });
    expect((await rig.newStore().list())[0].versions).toEqual([]);
    await rig.server.start();
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
  });

  test("tells its parts apart from what a server sends instead", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    rig.files.contents.delete(weightParts().find((path) => path.includes("/4-"))!);
    const first = await rig.newStore().open(rig.url);
    rig.server.fault = () => ({ flipAt: 0.5 });
    rig.files.contents.delete(weightParts().find((path) => path.includes("/5-"))!);
    const source = await first.open("model.safetensors");
    await expect(source.read(5 * PART_BYTES, 10)).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringContaining("the server sends other bytes than before"),
    });
  });

  test("may lose a part that was read before", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    const folder = await rig.newStore().open(rig.url);
    expect(await sameFiles(folder, model)).toBe(true);
    const path = weightParts().find((each) => each.includes("/3-"))!;
    rig.files.contents.set(path, rig.files.contents.get(path)!.slice(0, 50));
    expect(await sameFiles(folder, model)).toBe(true);
    await rig.expectNothingBroken(model);
  });

  test("reads on from the server when the model is removed, and keeps nothing of it", async () => {
    const model = shardedModel();
    rig.server.serve("/m", model);
    const folder = await rig.newStore().open(rig.url);
    await rig.newStore().remove(rig.url);
    expect(await sameFiles(folder, model)).toBe(true);
    expect(rig.files.contents.size).toBe(0);
  });

  test("does not trust a manifest", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    const path = [...rig.files.contents.keys()].find((each) => each.includes("/versions/"))!;
    const good = new TextDecoder().decode(rig.files.contents.get(path));
    const bad = [
      "",
      "null",
      good.slice(0, -9),
      good.replace(/"parts":\["../, '"parts":["zz'),
      good.replace('"format":1', '"format":2'),
    ];
    for (const text of bad) {
      rig.files.contents.set(path, new TextEncoder().encode(text));
      expect((await rig.newStore().list())[0].versions).toEqual([]);
      expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
      expect((await rig.newStore().list())[0].versions).toHaveLength(1);
    }
  });
});

describe("a stored model", () => {
  test.each([
    ["answers with errors", (): Fault => ({ status: 500 })],
    ["wants a login", (): Fault => ({ status: 401 })],
    ["cuts every answer", (): Fault => ({ cutAfter: 0 })],
  ])("serves where its server %s", async (_, fault) => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    rig.server.fault = fault;
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
  });

  test("serves where a new version cannot be had", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    rig.server.serve("/m", singleModel(2));
    rig.server.fault = (_, body) => (body.length > 2 ? { status: 503 } : undefined);
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
    // Its publisher is uploading, or has taken it away.
    rig.server.fault = () => undefined;
    rig.server.files.delete("/m/model.safetensors");
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
  });

  test("makes room when it is told to, and not by itself", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    await rig.newStore().download(rig.url);
    rig.files.quotaBytes = rig.files.usedBytes + PART_BYTES;
    rig.server.serve("/m", singleModel(2));
    await expect(rig.newStore().open(rig.url)).rejects.toMatchObject({ code: "quota_exceeded" });
    await rig.newStore().remove(rig.url);
    expect(await sameFiles(await rig.newStore().open(rig.url), singleModel(2))).toBe(true);
  });
});
