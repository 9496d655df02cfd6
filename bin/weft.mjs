#!/usr/bin/env node
// The `weft` command. In the published package it is dist/cli.js; in a checkout it builds first if
// a source has changed, and uses the driver that `npm run setup` found.

import { existsSync } from "node:fs";

const scripts = new URL("../scripts/", import.meta.url);

if (existsSync(new URL("launch.mjs", scripts))) {
  const { buildIfStale } = await import("../scripts/build.mjs");
  const { chooseDevice, launch } = await import("../scripts/launch.mjs");
  const { readState } = await import("../scripts/setup/state.mjs");
  await buildIfStale();
  await launch(process.argv.slice(2), chooseDevice(readState()).env);
} else {
  const cli = new URL("../dist/cli.js", import.meta.url).href;
  await import(cli);
}
