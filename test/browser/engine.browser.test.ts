// The engine suite in headless Chromium, the model read by range requests from the test server.
// SwiftShader takes seconds to compile a pipeline and, as browsers clear workgroup memory, a second
// for 16 rows through all layers: the suite shares one device, and two layers are enough for it. The
// gate leaves out what no browser does otherwise than Node: settings, stop texts, refusals.

import { httpFolder } from "../../runtime/model-folder/http-folder.ts";
import { shallowFolder } from "../engine/shallow-folder.ts";
import { opener } from "../engine/subject.ts";
import { engineSuite } from "../engine/suite.ts";
import { scale } from "../harness/soak.ts";

const isWhole = scale("chromium", 0, 1) === 1;
const model = new URL("/assets/demo/", location.href).href;

engineSuite(
  opener({
    platform: { gpu: async () => navigator.gpu, runtime: "test", quantumMs: 8 },
    folder: shallowFolder(httpFolder(model), 2),
    device: "gpu",
  }),
  { names: isWhole ? undefined : ["answers", "batching", "aborting", "ending"] },
);
