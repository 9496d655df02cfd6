// Bytes that flip on their way, bodies that end early, servers that know no ranges, disks that are full: the model,
// hash-equal, or a typed error and no version.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import { WeftError } from "../../../runtime/errors.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { scale } from "../../harness/soak.ts";
import type { Fault } from "./model-server.ts";
import { PART_BYTES, shardedModel, singleModel } from "./small-model.ts";
import { bytesOf, isWeights, StoreRig, sameFiles } from "./store-rig.ts";

const NUM_RUNS = scale("download", 8, 50);

const rig = new StoreRig();

/** Until it is there; every error on the way is one a user is told. */
async function downloadStubbornly(maxTries: number, codes: readonly string[]): Promise<string[]> {
  const errors: string[] = [];
  for (let tries = 0; tries < maxTries; tries++) {
    try {
      await rig.newStore().download(rig.url);
      return errors;
    } catch (error) {
      expect(error).toBeInstanceOf(WeftError);
      const { code } = error as WeftError;
      expect(codes, (error as WeftError).message).toContain(code);
      errors.push(code);
    }
  }
  throw new Error(`not there after ${maxTries} tries: ${errors}`);
}

describe("bytes that are wrong", () => {
  test.each([
    ["Content-Digest finds a range at once", { sendsContentDigest: true }],
    ["Repr-Digest finds a file at its end", { sendsReprDigest: true }],
  ] as const)("%s, and it is fetched again", async (_, sends) => {
    Object.assign(rig.server, sends);
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      rig.emptyStore();
      const model = shardedModel(seed);
      rig.server.serve("/m", model);
      let flips = 0;
      rig.server.fault = (_, body): Fault | undefined => {
        if (flips >= 1 || body.length < 100 || random() > 0.2) return undefined;
        flips++;
        return { flipAt: random() };
      };
      // A flip in an index is an index that cannot be read; one in a config is found with the others.
      await downloadStubbornly(3, ["bad_safetensors", "file_not_found"]);
      rig.server.fault = () => undefined;
      expect(flips).toBe(1);
      expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
      await rig.expectNothingBroken(model);
    }
  });

  test("twice is file_corrupt, and no version", async () => {
    rig.server.sendsReprDigest = true;
    const model = singleModel();
    rig.server.serve("/m", model);
    rig.server.fault = (asked, body) =>
      isWeights(asked) && body.length === PART_BYTES ? { flipAt: 0.5 } : undefined;
    await expect(rig.newStore().download(rig.url)).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringMatching(/model\.safetensors: downloaded twice.*SHA-256/),
    });
    expect((await rig.newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
    rig.server.fault = () => undefined;
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
  });

  test("are told by the ETag of a hub, and not by that of any server", async () => {
    const model = singleModel();
    const weights = model["model.safetensors"] as Uint8Array<ArrayBuffer>;
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", weights)).toString("hex");
    const serve = (folder: string, hex: string) => {
      rig.server.serve(folder, model);
      rig.server.files.set(`${folder}/model.safetensors`, { bytes: weights, etag: `"${hex}"` });
    };
    serve("/o/n/resolve/main", "0".repeat(64));
    const hub = { baseUrl: rig.server.url };
    const wrong = rig.newStore().download("hf:o/n", { hub });
    await expect(wrong).rejects.toMatchObject({ code: "file_corrupt" });
    serve("/o/n/resolve/main", digest);
    await rig.newStore().download("hf:o/n", { hub });
    serve("/m", "0".repeat(64));
    await rig.newStore().download(rig.url);
  });

  test("are no bytes where bodies end early: it is asked again, or given up", async () => {
    const model = shardedModel();
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      rig.emptyStore();
      rig.server.serve("/m", model);
      rig.server.fault = (_, body): Fault | undefined => {
        const fault = random();
        if (fault < 0.1) return { truncateTo: Math.floor(random() * body.length) };
        if (fault < 0.15) return { status: 503 };
        return undefined;
      };
      await downloadStubbornly(20, ["read_failed"]);
      rig.server.fault = () => undefined;
      expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
    }
    rig.emptyStore();
    rig.server.fault = (_, body) => ({ truncateTo: body.length - 1 });
    await expect(rig.newStore().download(rig.url)).rejects.toMatchObject({ code: "read_failed" });
    await rig.expectNothingBroken(model);
  });

  test("a server that knows no ranges may send small rig.files; one that forgets them is refused", async () => {
    const model = shardedModel();
    rig.server.serve("/m", model);
    rig.server.fault = () => "whole";
    expect(await sameFiles(await rig.newStore().open(rig.url), model)).toBe(true);
    rig.emptyStore();
    rig.server.fault = (asked) =>
      isWeights(asked) && asked.range !== "bytes=0-65535" ? "whole" : undefined;
    await expect(rig.newStore().download(rig.url)).rejects.toMatchObject({
      code: "file_changed",
      message: expect.stringContaining("stopped honouring Range"),
    });
    await rig.expectNothingBroken(model);
  });
});

describe("room", () => {
  test("too little is said before anything large comes", async () => {
    rig.server.serve("/m", shardedModel());
    rig.files.quotaBytes = 10 * PART_BYTES;
    const error = await rig
      .newStore()
      .download(rig.url)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "quota_exceeded",
      message: expect.stringMatching(
        /needs \d+ bytes more in memory .* which has \d+; remove models/,
      ),
    });
    expect(rig.files.usedBytes).toBeLessThan(1000);
  });

  test("that ends under way is the same error, and what came stays", async () => {
    const model = shardedModel();
    const sizeBytes = bytesOf(model);
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      rig.emptyStore();
      rig.server.serve("/m", model);
      // The estimate is a guess, as browsers say.
      rig.files.saidBytes = 10 * sizeBytes;
      rig.files.quotaBytes = Math.floor((0.1 + 0.8 * seededRandom(seed)()) * sizeBytes);
      await expect(rig.newStore().download(rig.url)).rejects.toMatchObject({
        code: "quota_exceeded",
      });
      const [{ versions, partialBytes }] = await rig.newStore().list();
      expect(versions).toEqual([]);
      rig.files.quotaBytes = 2 * sizeBytes;
      const steps: LoadProgress[] = [];
      await rig.newStore().download(rig.url, { onProgress: (step) => void steps.push(step) });
      expect(steps[0].loadedBytes).toBeGreaterThanOrEqual(partialBytes);
      await rig.expectNothingBroken(model);
    }
  });
});
