// The server, case by case: in one file, as what all of them import takes longer than they do.

import { describe, expect, test } from "vitest";
import { scale } from "../harness/soak.ts";
import "./cases/admission.ts";
import "./cases/errors.ts";
import { fuzzed } from "./cases/fuzz.ts";
import { hostile } from "./cases/hostile.ts";
import "./cases/limits.ts";
import "./cases/listening.ts";
import "./cases/metrics.ts";
import "./cases/odd-requests.ts";
import "./cases/openai-client.ts";
import "./cases/oversized.ts";
import "./cases/smuggling.ts";
import { streams } from "./cases/streams.ts";
import "./cases/tools.ts";
import { tinyEngine } from "./served.ts";

describe("under hostile load", () =>
  hostile({
    numIdle: scale("server-hostile", 30, 1000),
    numLeaving: scale("server-hostile", 10, 200),
    numSlow: scale("server-hostile", 4, 200),
    numHuge: scale("server-hostile", 2, 100),
    measuresHeap: scale("server-hostile", 0, 1) === 1,
  }));

test("8 streams at once: no error, and equal shares", async () => {
  const engine = await tinyEngine();
  const figures = await streams(engine, {
    count: 8,
    seconds: 1,
    maxTokens: 4,
    measuresHeap: false,
  });
  expect(figures).toMatchObject({ errors: 0, streams: 8 });
  expect(figures.answers).toBeGreaterThan(8);
  expect(figures.jain).toBeGreaterThan(0.8);
});

describe("fuzzed requests", () => fuzzed(scale("server-fuzz", 300, 10_000)));
