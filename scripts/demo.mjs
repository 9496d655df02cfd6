// npm run demo -- --prompt "…"    set up, build, and stream an answer from the demo model.

import { buildIfStale } from "./build.mjs";
import { DEMO_PROMPT } from "./demo-prompt.mjs";
import { chooseDevice, launch } from "./launch.mjs";
import { say } from "./setup/state.mjs";
import { setup } from "./setup.mjs";

try {
  const args = process.argv.slice(2);
  const state = await setup({ purpose: "demo" });
  await buildIfStale();
  const device = chooseDevice(state);
  if (device.reference) say(`setup: lavapipe ${state.missing.lavapipe ?? "not found"}`);
  say(`demo: on ${device.name}`);
  const has = (/** @type {string} */ option) =>
    args.some((arg) => arg === option || arg.startsWith(`${option}=`));
  await launch(
    [
      "run",
      ...(has("--model") ? [] : ["--model", "demo"]),
      ...(has("--chat") ? [] : ["--chat"]),
      ...(has("--prompt") ? [] : ["--prompt", DEMO_PROMPT]),
      ...(device.reference && !has("--device") ? ["--device", "reference"] : []),
      ...args,
    ],
    device.env,
  );
} catch (error) {
  say(`demo: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
