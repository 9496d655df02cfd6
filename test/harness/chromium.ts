// Headless Chromium on SwiftShader for tests that need whole pages and several tabs, driven from Node.

import { type Browser, chromium, type Page } from "playwright";
import { readState } from "../../scripts/setup/state.mjs";

const found = readState()?.chromium;

/** Why such tests are skipped here, or nothing. */
export const noChromium: string | undefined = found ? undefined : "Chromium was not found";

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: found!.path,
    env: { ...(process.env as Record<string, string>), ...found!.env },
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  });
}

/** Fails the test that uses the page when the page fails. */
export function failures(page: Page): string[] {
  const list: string[] = [];
  page.on("pageerror", (error) => list.push(error.message));
  return list;
}
