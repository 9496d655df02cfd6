// What may go wrong while a model is downloaded: cuts anywhere, a server that restarts, files that change, bits
// that flip, bodies that end early, disks that are full. Afterwards the store holds the model, hash-equal, or
// the caller has a typed error and the store lists no version; and who tries again goes on from there.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { seededRandom } from "../../../kernels/probe.ts";
import { WeftError } from "../../../runtime/errors.ts";
import type { ModelFolder } from "../../../runtime/model-folder/model-folder.ts";
import { ModelStore } from "../../../runtime/store/model-store.ts";
import type { LoadProgress } from "../../../runtime/weights/progress.ts";
import { report, scale } from "../../harness/soak.ts";
import { MemoryFiles } from "./memory-files.ts";
import { type Asked, type Fault, ModelServer } from "./model-server.ts";
import { PART_BYTES, shardedModel, singleModel } from "./small-model.ts";

const NUM_RUNS = scale("download", 8, 50);
type Model = Readonly<Record<string, Uint8Array | string>>;

let server: ModelServer;
let files: MemoryFiles;
beforeEach(async () => {
  server = new ModelServer();
  await server.start();
  files = new MemoryFiles();
});
afterEach(() => server.stop());

/** As a page that is opened anew: nothing is known but what is stored. */
const newStore = (on = files, attempts?: number) =>
  new ModelStore(on, { partBytes: PART_BYTES, retryDelayMs: 1, stallMs: 300, attempts });

const url = () => `${server.url}/m`;
const isWeights = ({ path }: Asked) => path.endsWith(".safetensors");

const bytesOf = (model: Model): number =>
  Object.values(model).reduce((sum, each) => sum + Buffer.byteLength(each as string), 0);

async function sameFiles(folder: ModelFolder, model: Model): Promise<boolean> {
  for (const [name, content] of Object.entries(model)) {
    const source = await folder.open(name);
    const bytes = await source.read(0, source.sizeBytes);
    if (Buffer.compare(bytes, Buffer.from(content as Uint8Array)) !== 0) return false;
  }
  return true;
}

/** Whatever is listed as a version can be loaded without the server, and is one of the models. */
async function expectNothingBroken(...models: readonly Model[]): Promise<void> {
  const versions = (await newStore().list()).flatMap((model) => model.versions);
  if (versions.length === 0) return;
  const offline = new ModelStore(files, {
    fetch: () => Promise.reject(new TypeError("no network")),
    attempts: 1,
  });
  const folder = await offline.open(url());
  const same = await Promise.all(models.map((model) => sameFiles(folder, model)));
  expect(same).toContain(true);
}

/** Until it is there; every error on the way is one a user is told. */
async function downloadStubbornly(maxTries: number, codes: readonly string[]): Promise<string[]> {
  const errors: string[] = [];
  for (let tries = 0; tries < maxTries; tries++) {
    try {
      await newStore().download(url());
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

describe("a download that is cut", () => {
  test("at any byte, again and again, arrives and fetches little twice", async () => {
    const counts = { cuts: 0, sentShare: 0 };
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      files = new MemoryFiles();
      const model = shardedModel(seed);
      const sizeBytes = bytesOf(model);
      server.serve("/m", model);
      server.sentBytes = 0;
      const cuts = Array.from({ length: 3 }, () => random() * sizeBytes).sort((a, b) => a - b);
      let passed = 0;
      // All answers together are one stream, which is cut at three of its bytes.
      server.fault = (_, body): Fault | undefined => {
        const before = passed;
        passed += body.length;
        if (cuts.length === 0 || passed <= cuts[0]) return undefined;
        counts.cuts++;
        passed = cuts.shift()!;
        return { cutAfter: Math.max(0, Math.floor(passed - before)) };
      };
      // One attempt each, so that a cut ends the download; the next is a new page's.
      for (;;) {
        const ended = await newStore(files, 1)
          .download(url())
          .catch((error: unknown) => error);
        if (!(ended instanceof Error)) break;
        expect(ended).toMatchObject({ code: "read_failed" });
        expect((await newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
      }
      expect(cuts).toEqual([]);
      counts.sentShare = Math.max(counts.sentShare, server.sentBytes / sizeBytes);
      await expectNothingBroken(model);
    }
    report("download", { runs: NUM_RUNS, ...counts });
    expect(counts.cuts).toBe(3 * NUM_RUNS);
    // Each page asks for beginnings of files again, and four parts were under way.
    expect(counts.sentShare).toBeLessThan(4);
  });

  test("goes on inside a part, and says how far it is", async () => {
    const model = singleModel();
    server.serve("/m", model);
    server.fault = (asked, body) =>
      isWeights(asked) && body.length > 1000 ? { cutAfter: body.length - 1000 } : undefined;
    const progress: LoadProgress[] = [];
    const onProgress = (step: LoadProgress) => void progress.push(step);
    await newStore().download(url(), { onProgress });
    const ranges = server.asked.filter(isWeights).map(({ range }) => range);
    // The first part: what was cut off is asked for alone.
    expect(ranges).toContain(`bytes=${PART_BYTES - 1000}-${PART_BYTES - 1}`);
    const loaded = progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(progress.at(-1)!.loadedBytes).toBe(progress.at(-1)!.totalBytes);
  });

  test("by the caller goes on with the parts that are there, of which the rate knows nothing", async () => {
    const model = shardedModel();
    server.serve("/m", model);
    const abort = new AbortController();
    const onProgress = ({ loadedBytes, totalBytes }: LoadProgress) => {
      if (loadedBytes > 0.6 * totalBytes) abort.abort(new Error("enough"));
    };
    const aborted = newStore().download(url(), { signal: abort.signal, onProgress });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    const [{ versions, partialBytes }] = await newStore().list();
    expect(versions).toEqual([]);
    expect(partialBytes).toBeGreaterThan(5 * PART_BYTES);

    const sent = server.sentBytes;
    const steps: LoadProgress[] = [];
    await newStore().download(url(), { onProgress: (step) => void steps.push(step) });
    const [first] = steps;
    expect(first.phase).toBe("download");
    expect(first.loadedBytes).toBeGreaterThan(partialBytes - 1);
    expect(first.bytesPerSecond).toBe(0);
    // The prefixes of all files come again, at most.
    const probes = 5 * 64 * 1024;
    expect(server.sentBytes - sent).toBeLessThan(first.totalBytes - partialBytes + probes);
    // What an earlier page has left was looked at before it counted.
    expect(new Set(steps.map(({ phase }) => phase))).toEqual(new Set(["download", "verify"]));
    await expectNothingBroken(model);
  });

  test("by a server that restarts is waited for", async () => {
    const model = shardedModel();
    server.serve("/m", model);
    let restarts = 0;
    let restarting: Promise<void> | undefined;
    server.onRequest = (asked) => {
      if (restarts >= 3 || !isWeights(asked) || server.asked.length < 15 * (restarts + 1)) return;
      restarts++;
      restarting = server.stop().then(() => server.start());
    };
    const patient = new ModelStore(files, { partBytes: PART_BYTES, retryDelayMs: 20 });
    const folder = await patient.open(url());
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
      files = new MemoryFiles();
      server.ignoresConditions = seed % 2 === 0;
      const models: Model[] = [shardedModel(100 * seed)];
      server.serve("/m", models[0]);
      const numChanges = 1 + Math.floor(4 * random());
      let next = 5 + Math.floor(30 * random());
      let numAsked = 0;
      server.onRequest = () => {
        if (models.length > numChanges || ++numAsked < next) return;
        next += 10 + Math.floor(30 * random());
        const model = shardedModel(100 * seed + models.length);
        models.push(model);
        // The same size, another content; sometimes of a single file.
        const names = Object.keys(model).filter(() => random() < 0.6);
        const partly = Object.fromEntries(names.map((name) => [name, model[name]]));
        models[models.length - 1] = { ...models[models.length - 2], ...partly };
        server.serve("/m", partly);
      };
      const error = await newStore()
        .download(url())
        .then(() => undefined)
        .catch((thrown: unknown) => thrown);
      server.onRequest = () => {};
      if (error) {
        outcomes.changed++;
        expect(error).toMatchObject({ code: "file_changed" });
        expect((await newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
      } else {
        outcomes.newest++;
        await expectNothingBroken(...models);
      }
      expect(await sameFiles(await newStore().open(url()), models.at(-1)!)).toBe(true);
      // Nothing is kept of what the server has no more and no version has.
      expect((await newStore().list())[0].partialBytes).toBe(0);
    }
    report("download", { runs: NUM_RUNS, ...outcomes });
    expect(outcomes.newest).toBeGreaterThan(0);
  });

  test("are those of one moment, also where each was whole", async () => {
    const small = { "tokenizer.json": "{}" };
    const [old, fresh] = [1, 2].map((seed) => ({ ...shardedModel(seed), ...small }));
    server.serve("/m", old);
    // config.json has come by then, whole, and is not asked for again.
    server.onRequest = ({ path }) => {
      if (path.includes("-of-")) server.serve("/m", fresh);
    };
    expect(await sameFiles(await newStore().open(url()), fresh)).toBe(true);
    expect((await newStore().list())[0].versions).toHaveLength(1);
  });

  test("are told apart by Last-Modified where there is no strong ETag", async () => {
    await tellApartByDate();
    server.onRequest = () => {};
    [files, server.ignoresConditions] = [new MemoryFiles(), true];
    await tellApartByDate();
  });

  async function tellApartByDate(): Promise<void> {
    server.asked.length = 0;
    const [old, fresh] = [singleModel(1), singleModel(2)];
    const serve = (model: Model, lastModified: string) => {
      server.serve("/m", model);
      for (const [path, { bytes }] of server.files) {
        server.files.set(path, { bytes, etag: 'W/"same"', lastModified });
      }
    };
    serve(old, "Sun, 22 Nov 2026 10:00:00 GMT");
    let changed = false;
    server.onRequest = (asked) => {
      if (changed || !isWeights(asked) || server.asked.length < 14) return;
      changed = true;
      serve(fresh, "Sun, 22 Nov 2026 11:00:00 GMT");
    };
    const folder = await newStore().open(url());
    expect(changed).toBe(true);
    expect(await sameFiles(folder, fresh)).toBe(true);
    const conditions = server.asked.map(({ headers }) => headers["if-range"]).filter(Boolean);
    expect(new Set(conditions)).toEqual(
      new Set(["Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 11:00:00 GMT"]),
    );
  }

  test("and a server that never says of which version anything is, starts each download anew", async () => {
    const model = singleModel();
    server.serve("/m", model);
    for (const [path, { bytes }] of server.files) server.files.set(path, { bytes, etag: null });
    let parts = 0;
    server.fault = (asked) => (isWeights(asked) && ++parts > 4 ? { status: 503 } : undefined);
    await expect(newStore(files, 1).download(url())).rejects.toMatchObject({ code: "read_failed" });
    const changed = singleModel(2);
    server.serve("/m", changed);
    for (const [path, { bytes }] of server.files) server.files.set(path, { bytes, etag: null });
    server.fault = () => undefined;
    expect(await sameFiles(await newStore().open(url()), changed)).toBe(true);
    await expectNothingBroken(changed);
  });
});

describe("bytes that are wrong", () => {
  test.each([
    ["Content-Digest finds a range at once", { sendsContentDigest: true }],
    ["Repr-Digest finds a file at its end", { sendsReprDigest: true }],
  ] as const)("%s, and it is fetched again", async (_, sends) => {
    Object.assign(server, sends);
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      files = new MemoryFiles();
      const model = shardedModel(seed);
      server.serve("/m", model);
      let flips = 0;
      server.fault = (_, body): Fault | undefined => {
        if (flips >= 1 || body.length < 100 || random() > 0.2) return undefined;
        flips++;
        return { flipAt: random() };
      };
      // A flip in an index is an index that cannot be read; one in a config is found with the others.
      await downloadStubbornly(3, ["bad_safetensors", "file_not_found"]);
      server.fault = () => undefined;
      expect(flips).toBe(1);
      expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
      await expectNothingBroken(model);
    }
  });

  test("twice is file_corrupt, and no version", async () => {
    server.sendsReprDigest = true;
    const model = singleModel();
    server.serve("/m", model);
    server.fault = (asked, body) =>
      isWeights(asked) && body.length === PART_BYTES ? { flipAt: 0.5 } : undefined;
    await expect(newStore().download(url())).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringMatching(/model\.safetensors: downloaded twice.*SHA-256/),
    });
    expect((await newStore().list()).flatMap(({ versions }) => versions)).toEqual([]);
    server.fault = () => undefined;
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
  });

  test("are told by the ETag of a hub, and not by that of any server", async () => {
    const model = singleModel();
    const weights = model["model.safetensors"] as Uint8Array<ArrayBuffer>;
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", weights)).toString("hex");
    const serve = (folder: string, hex: string) => {
      server.serve(folder, model);
      server.files.set(`${folder}/model.safetensors`, { bytes: weights, etag: `"${hex}"` });
    };
    serve("/o/n/resolve/main", "0".repeat(64));
    const hub = { baseUrl: server.url };
    const wrong = newStore().download("hf:o/n", { hub });
    await expect(wrong).rejects.toMatchObject({ code: "file_corrupt" });
    serve("/o/n/resolve/main", digest);
    await newStore().download("hf:o/n", { hub });
    serve("/m", "0".repeat(64));
    await newStore().download(url());
  });

  test("are no bytes where bodies end early: it is asked again, or given up", async () => {
    const model = shardedModel();
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      const random = seededRandom(seed);
      files = new MemoryFiles();
      server.serve("/m", model);
      server.fault = (_, body): Fault | undefined => {
        const fault = random();
        if (fault < 0.1) return { truncateTo: Math.floor(random() * body.length) };
        if (fault < 0.15) return { status: 503 };
        return undefined;
      };
      await downloadStubbornly(20, ["read_failed"]);
      server.fault = () => undefined;
      expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
    }
    files = new MemoryFiles();
    server.fault = (_, body) => ({ truncateTo: body.length - 1 });
    await expect(newStore().download(url())).rejects.toMatchObject({ code: "read_failed" });
    await expectNothingBroken(model);
  });

  test("a server that knows no ranges may send small files; one that forgets them is refused", async () => {
    const model = shardedModel();
    server.serve("/m", model);
    server.fault = () => "whole";
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
    files = new MemoryFiles();
    server.fault = (asked) =>
      isWeights(asked) && asked.range !== "bytes=0-65535" ? "whole" : undefined;
    await expect(newStore().download(url())).rejects.toMatchObject({
      code: "file_changed",
      message: expect.stringContaining("stopped honouring Range"),
    });
    await expectNothingBroken(model);
  });
});

describe("room", () => {
  test("too little is said before anything large comes", async () => {
    server.serve("/m", shardedModel());
    files.quotaBytes = 10 * PART_BYTES;
    const error = await newStore()
      .download(url())
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "quota_exceeded",
      message: expect.stringMatching(
        /needs \d+ bytes more in memory .* which has \d+; remove models/,
      ),
    });
    expect(files.usedBytes).toBeLessThan(1000);
  });

  test("that ends under way is the same error, and what came stays", async () => {
    const model = shardedModel();
    const sizeBytes = bytesOf(model);
    for (let seed = 1; seed <= NUM_RUNS; seed++) {
      files = new MemoryFiles();
      server.serve("/m", model);
      // The estimate is a guess, as browsers say.
      files.saidBytes = 10 * sizeBytes;
      files.quotaBytes = Math.floor((0.1 + 0.8 * seededRandom(seed)()) * sizeBytes);
      await expect(newStore().download(url())).rejects.toMatchObject({ code: "quota_exceeded" });
      const [{ versions, partialBytes }] = await newStore().list();
      expect(versions).toEqual([]);
      files.quotaBytes = 2 * sizeBytes;
      const steps: LoadProgress[] = [];
      await newStore().download(url(), { onProgress: (step) => void steps.push(step) });
      expect(steps[0].loadedBytes).toBeGreaterThanOrEqual(partialBytes);
      await expectNothingBroken(model);
    }
  });
});

describe("a store whose disk loses bytes", () => {
  const weightParts = () =>
    [...files.contents.keys()].filter((path) => /\/\d+-[0-9a-f]{64}$/.test(path));

  test.each(["flipped", "torn", "gone"] as const)(
    "fetches a part that is %s again when it is read",
    async (damage) => {
      const model = shardedModel();
      server.serve("/m", model);
      await newStore().download(url());
      for (let seed = 1; seed <= NUM_RUNS; seed++) {
        const random = seededRandom(seed);
        const paths = weightParts();
        const path = paths[Math.floor(random() * paths.length)];
        const folder = await newStore().open(url());
        const bytes = files.contents.get(path)!;
        if (damage === "gone") files.contents.delete(path);
        else if (damage === "torn")
          files.contents.set(path, bytes.slice(0, random() * bytes.length));
        else bytes[Math.floor(random() * bytes.length)] ^= 4;
        expect(await sameFiles(folder, model)).toBe(true);
        await expectNothingBroken(model);
      }
      // And before it is opened: what is missing alone is fetched.
      const [first] = weightParts();
      files.contents.delete(first);
      expect((await newStore().list())[0].versions).toEqual([]);
      expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
      expect((await newStore().list())[0].versions).toHaveLength(1);
    },
  );

  test.each([false, true])(
    "that were half a download finds which part (hash of the whole: %s)",
    async (said) => {
      server.sendsReprDigest = said;
      const model = shardedModel();
      server.serve("/m", model);
      let numParts = 0;
      server.fault = (asked) => (isWeights(asked) && ++numParts > 12 ? { status: 503 } : undefined);
      await expect(newStore(files, 1).download(url())).rejects.toMatchObject({
        code: "read_failed",
      });
      server.fault = () => undefined;
      const [path] = weightParts().filter((each) => each.includes("/1-"));
      files.contents.get(path)![99] ^= 16;
      server.asked.length = 0;
      await newStore().download(url());
      await expectNothingBroken(model);
      const ranges = server.asked.filter(isWeights).map(({ path, range }) => `${path} ${range}`);
      // Nothing is fetched twice, and the damaged part is.
      const parts = ranges.filter((range) => !/bytes=0-(1|65535)$/.test(range));
      expect(new Set(parts).size).toBe(parts.length);
      expect(parts.filter((range) => range.includes(`bytes=${PART_BYTES}-`))).toHaveLength(1);
    },
  );

  test("says so without a connection, and lists the model no more", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await newStore().download(url());
    const part = weightParts().find((path) => path.includes("/4-"))!;
    files.contents.get(part)![7] ^= 1;
    await server.stop();
    const folder = await new ModelStore(files, { attempts: 1 }).open(url());
    const source = await folder.open("model.safetensors");
    expect((await source.read(0, 100)).length).toBe(100);
    await expect(source.read(4 * PART_BYTES, 10)).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringMatching(
        /part 4 is damaged or gone .* load the model again with a connection/,
      ),
    });
    expect((await newStore().list())[0].versions).toEqual([]);
    await server.start();
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
  });

  test("tells its parts apart from what a server sends instead", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await newStore().download(url());
    files.contents.delete(weightParts().find((path) => path.includes("/4-"))!);
    const first = await newStore().open(url());
    server.fault = () => ({ flipAt: 0.5 });
    files.contents.delete(weightParts().find((path) => path.includes("/5-"))!);
    const source = await first.open("model.safetensors");
    await expect(source.read(5 * PART_BYTES, 10)).rejects.toMatchObject({
      code: "file_corrupt",
      message: expect.stringContaining("the server sends other bytes than before"),
    });
  });

  test("may lose a part that was read before", async () => {
    const model = singleModel();
    server.serve("/m", model);
    const folder = await newStore().open(url());
    expect(await sameFiles(folder, model)).toBe(true);
    const path = weightParts().find((each) => each.includes("/3-"))!;
    files.contents.set(path, files.contents.get(path)!.slice(0, 50));
    expect(await sameFiles(folder, model)).toBe(true);
    await expectNothingBroken(model);
  });

  test("does not trust a manifest", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await newStore().download(url());
    const path = [...files.contents.keys()].find((each) => each.includes("/versions/"))!;
    const good = new TextDecoder().decode(files.contents.get(path));
    const bad = [
      "",
      "null",
      good.slice(0, -9),
      good.replace(/"parts":\["../, '"parts":["zz'),
      good.replace('"format":1', '"format":2'),
    ];
    for (const text of bad) {
      files.contents.set(path, new TextEncoder().encode(text));
      expect((await newStore().list())[0].versions).toEqual([]);
      expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
      expect((await newStore().list())[0].versions).toHaveLength(1);
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
    server.serve("/m", model);
    await newStore().download(url());
    server.fault = fault;
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
  });

  test("serves where a new version cannot be had", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await newStore().download(url());
    server.serve("/m", singleModel(2));
    server.fault = (_, body) => (body.length > 2 ? { status: 503 } : undefined);
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
    // Its publisher is uploading, or has taken it away.
    server.fault = () => undefined;
    server.files.delete("/m/model.safetensors");
    expect(await sameFiles(await newStore().open(url()), model)).toBe(true);
  });

  test("makes room when it is told to, and not by itself", async () => {
    const model = singleModel();
    server.serve("/m", model);
    await newStore().download(url());
    files.quotaBytes = files.usedBytes + PART_BYTES;
    server.serve("/m", singleModel(2));
    await expect(newStore().open(url())).rejects.toMatchObject({ code: "quota_exceeded" });
    await newStore().remove(url());
    expect(await sameFiles(await newStore().open(url()), singleModel(2))).toBe(true);
  });
});
