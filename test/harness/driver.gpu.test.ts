// The adapter behind a project is the driver that the project names: without this, every test of
// one driver could silently run on the other.

import { expect, test } from "vitest";
import { gpu } from "./gpu.ts";
import { project } from "./project.ts";

test("Dawn uses the project's own driver", async () => {
  const adapter = await (await gpu()).requestAdapter();
  const driver = project() === "lavapipe" ? /^llvmpipe/ : /^SwiftShader/;
  expect(adapter?.info.description).toMatch(driver);
});
