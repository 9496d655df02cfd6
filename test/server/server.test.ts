// The server, case by case: in one file, as what all of them import takes longer than they do.

import { describe } from "vitest";
import { scale } from "../harness/soak.ts";
import "./cases/admission.ts";
import "./cases/errors.ts";
import { fuzzed } from "./cases/fuzz.ts";
import { hostile } from "./cases/hostile.ts";
import "./cases/listening.ts";
import "./cases/metrics.ts";
import "./cases/openai-client.ts";

describe("under hostile load", () =>
  hostile({
    numIdle: scale("server-hostile", 30, 1000),
    numLeaving: scale("server-hostile", 10, 200),
    numSlow: scale("server-hostile", 4, 200),
    numHuge: scale("server-hostile", 2, 100),
    measuresHeap: scale("server-hostile", 0, 1) === 1,
  }));

describe("fuzzed requests", () => fuzzed(scale("server-fuzz", 300, 10_000)));
