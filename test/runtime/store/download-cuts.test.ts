// Downloads that are cut anywhere, by servers, networks and callers, and files that change under way. Afterwards
// the store holds the model, hash-equal, or the caller has a typed error and the store lists no version; and who
// tries again goes on from there.

import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { report, scale } from "../../harness/soak.ts";
import type { Fault } from "./model-server.ts";
import { PART_BYTES, shardedModel, singleModel } from "./small-model.ts";
import { bytesOf, isWeights, type Model, StoreRig, sameFiles } from "./store-rig.ts";

const NUM_RUNS = scale("download", 8, 50);

const rig = new StoreRig();

describe("a download that is cut", () => {
  test("at any byte, again and again, arrives and fetches little twice", async () => {
    const counts = { cuts: 0, sentShare: 0 };
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      rig.emptyStore();
      const model = shardedModel(seed);
      const sizeBytes = bytesOf(model);
      rig.server.serve("/m", model);
      rig.server.sentBytes = 0;
      const cuts = Array.from({ length: 3 }, () => random() * sizeBytes).sort((a, b) => a - b);
      let passed = 0;
      // All answers together are one stream, which is cut at three of its bytes.
      rig.server.fault = (_, body): Fault | undefined => {
        const before = passed;
        passed += body.length;
        if (cuts.length === 0 || passed <= cuts[0]) return undefined;
        counts.cuts++;
        passed = cuts.shift()!;
        return { cutAfter: Math.max(0, Math.floor(passed - before)) };
      };
      // One attempt each, so that a cut ends the download; the next is a new page's.
      for (;;) {
        const ended = await rig
          .newStore(1)
          .download(rig.url)
          .catch((error: unknown) => error);
        if (!(ended instanceof Error)) break;
        expect(ended).toMatchObject({ code: "read_failed" });
        expect((await rig.newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
      }
      expect(cuts).toEqual([]);
      counts.sentShare = Math.max(counts.sentShare, rig.server.sentBytes / sizeBytes);
      await rig.expectNothingBroken(model);
    }
    report("download", { runs: NUM_RUNS, ...counts });
    expect(counts.cuts).toBe(3 * NUM_RUNS);
    // Each page asks for beginnings of rig.files again, and four parts were under way.
    expect(counts.sentShare).toBeLessThan(4);
  });

  test("goes on inside a part, and says how far it is", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    rig.server.fault = (asked, body) =>
      isWeights(asked) && body.length > 1000 ? { cutAfter: body.length - 1000 } : undefined;
    const progress: LoadProgress[] = [];
    const onProgress = (step: LoadProgress) => void progress.push(step);
    await rig.newStore().download(rig.url, { onProgress });
    const ranges = rig.server.asked.filter(isWeights).map(({ range }) => range);
    // The first part: what was cut off is asked for alone.
    expect(ranges).toContain(`bytes=${PART_BYTES - 1000}-${PART_BYTES - 1}`);
    const loaded = progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(progress.at(-1)!.loadedBytes).toBe(progress.at(-1)!.totalBytes);
  });

  test("by the caller goes on with the parts that are there, of which the rate knows nothing", async () => {
    const model = shardedModel();
    rig.server.serve("/m", model);
    const abort = new AbortController();
    const onProgress = ({ loadedBytes, totalBytes }: LoadProgress) => {
      if (loadedBytes > 0.6 * totalBytes) abort.abort(new Error("enough"));
    };
    const aborted = rig.newStore().download(rig.url, { signal: abort.signal, onProgress });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    const [{ versions, partialBytes }] = await rig.newStore().list();
    expect(versions).toEqual([]);
    expect(partialBytes).toBeGreaterThan(5 * PART_BYTES);

    const sent = rig.server.sentBytes;
    const steps: LoadProgress[] = [];
    await rig.newStore().download(rig.url, { onProgress: (step) => void steps.push(step) });
    const [first] = steps;
    expect(first.phase).toBe("download");
    expect(first.loadedBytes).toBeGreaterThan(partialBytes - 1);
    expect(first.bytesPerSecond).toBe(0);
    // The prefixes of all rig.files come again, at most.
    const probes = 5 * 64 * 1024;
    expect(rig.server.sentBytes - sent).toBeLessThan(first.totalBytes - partialBytes + probes);
    // What an earlier page has left was looked at before it counted.
    expect(new Set(steps.map(({ phase }) => phase))).toEqual(new Set(["download", "verify"]));
    await rig.expectNothingBroken(model);
  });

  test("by a server that restarts is waited for", async () => {
    const model = shardedModel();
    rig.server.serve("/m", model);
    let restarts = 0;
    let restarting: Promise<void> | undefined;
    rig.server.onRequest = (asked) => {
      if (restarts >= 3 || !isWeights(asked) || rig.server.asked.length < 15 * (restarts + 1))
        return;
      restarts++;
      restarting = rig.server.stop().then(() => rig.server.start());
    };
    const patient = new ModelStore(rig.files, { partBytes: PART_BYTES, retryDelayMs: 20 });
    const folder = await patient.open(rig.url);
    await restarting;
    expect(restarts).toBeGreaterThan(0);
    expect(await sameFiles(folder, model)).toBe(true);
  });
});

describe("files that change under way", () => {
  test("are never mixed: the new ones, or file_changed", async () => {
    const outcomes = { newest: 0, changed: 0 };
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      rig.emptyStore();
      rig.server.ignoresConditions = seed % 2 === 0;
      const models: Model[] = [shardedModel(100 * seed)];
      rig.server.serve("/m", models[0]);
      const numChanges = 1 + Math.floor(4 * random());
      let next = 5 + Math.floor(30 * random());
      let numAsked = 0;
      rig.server.onRequest = () => {
        if (models.length > numChanges || ++numAsked < next) return;
        next += 10 + Math.floor(30 * random());
        const model = shardedModel(100 * seed + models.length);
        models.push(model);
        // The same size, another content; sometimes of a single file.
        const names = Object.keys(model).filter(() => random() < 0.6);
        const partly = Object.fromEntries(names.map((name) => [name, model[name]]));
        models[models.length - 1] = { ...models[models.length - 2], ...partly };
        rig.server.serve("/m", partly);
      };
      const error = await rig
        .newStore()
        .download(rig.url)
        .then(() => undefined)
        .catch((thrown: unknown) => thrown);
      rig.server.onRequest = () => {};
      if (error) {
        outcomes.changed++;
        expect(error).toMatchObject({ code: "file_changed" });
        expect((await rig.newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
      } else {
        outcomes.newest++;
        await rig.expectNothingBroken(...models);
      }
      expect(await sameFiles(await rig.newStore().open(rig.url), models.at(-1)!)).toBe(true);
      // Nothing is kept of what the server has no more and no version has.
      expect((await rig.newStore().list())[0].partialBytes).toBe(0);
    }
    report("download", { runs: NUM_RUNS, ...outcomes });
    expect(outcomes.newest).toBeGreaterThan(0);
  });

  test("are those of one moment, also where each was whole", async () => {
    const small = { "tokenizer.json": "{}" };
    const [old, fresh] = [1, 2].map((seed) => ({ ...shardedModel(seed), ...small }));
    rig.server.serve("/m", old);
    // config.json has come by then, whole, and is not asked for again.
    rig.server.onRequest = ({ path }) => {
      if (path.includes("-of-")) rig.server.serve("/m", fresh);
    };
    expect(await sameFiles(await rig.newStore().open(rig.url), fresh)).toBe(true);
    expect((await rig.newStore().list())[0].versions).toHaveLength(1);
  });

  test("are told apart by Last-Modified where there is no strong ETag", async () => {
    await tellApartByDate();
    rig.server.onRequest = () => {};
    rig.emptyStore();
    rig.server.ignoresConditions = true;
    await tellApartByDate();
  });

  async function tellApartByDate(): Promise<void> {
    rig.server.asked.length = 0;
    const [old, fresh] = [singleModel(1), singleModel(2)];
    const serve = (model: Model, lastModified: string) => {
      rig.server.serve("/m", model);
      for (const [path, { bytes }] of rig.server.files) {
        rig.server.files.set(path, { bytes, etag: 'W/"same"', lastModified });
      }
    };
    serve(old, "Sun, 22 Nov 2026 10:00:00 GMT");
    let changed = false;
    rig.server.onRequest = (asked) => {
      if (changed || !isWeights(asked) || rig.server.asked.length < 14) return;
      changed = true;
      serve(fresh, "Sun, 22 Nov 2026 11:00:00 GMT");
    };
    const folder = await rig.newStore().open(rig.url);
    expect(changed).toBe(true);
    expect(await sameFiles(folder, fresh)).toBe(true);
    const conditions = rig.server.asked.map(({ headers }) => headers["if-range"]).filter(Boolean);
    expect(new Set(conditions)).toEqual(
      new Set(["Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 11:00:00 GMT"]),
    );
  }

  test("and a server that never says of which version anything is, starts each download anew", async () => {
    const model = singleModel();
    rig.server.serve("/m", model);
    for (const [path, { bytes }] of rig.server.files)
      rig.server.files.set(path, { bytes, etag: null });
    let parts = 0;
    rig.server.fault = (asked) => (isWeights(asked) && ++parts > 4 ? { status: 503 } : undefined);
    await expect(rig.newStore(1).download(rig.url)).rejects.toMatchObject({ code: "read_failed" });
    const changed = singleModel(2);
    rig.server.serve("/m", changed);
    for (const [path, { bytes }] of rig.server.files)
      rig.server.files.set(path, { bytes, etag: null });
    rig.server.fault = () => undefined;
    expect(await sameFiles(await rig.newStore().open(rig.url), changed)).toBe(true);
    await rig.expectNothingBroken(changed);
  });
});
