// The package in Node: its doors' types, the programs of the documentation, the command line and its server.

import { driverEnvironment, readState, say } from "../setup/state.mjs";
import { PROGRAMS, program } from "./programs.mjs";
import { pinned, project } from "./project.mjs";
import { requireAnswer, run, withServer } from "./run.mjs";

const SLOW = '"demo", device: "reference"';
/** What the programs leave to their readers. */
const AMBIENT = "declare function show(loaded: number): void;\n";
/** The own thread's door, which has no programs of its own. */
const OWN_THREAD = `import { createEngine } from "weft-llm";
const engine = await createEngine({ model: "random:tiny", device: "reference" });
const { choices } = await engine.completions.create({ prompt: "A", max_tokens: 2, seed: 1 });
console.log(choices[0].finish_reason);
await engine.close();
`;

/** @param {string} tarball @param {string} work */
export async function checkInNode(tarball, work) {
  const packages = pinned("webgpu", "openai", "ai", "hono", "@hono/node-server");
  // @ai-sdk/provider's declarations name json-schema, and do not bring it.
  const compilers = [...pinned("typescript", "@types/node"), "@types/json-schema@7.0.15"];
  const folder = project(work, "node", [tarball, ...packages, ...compilers], files());
  checkTypes(folder);
  const { lavapipe, swiftshader } = readState()?.drivers ?? {};
  for (const name of ["ten-lines", "in-node", "in-your-program"]) {
    // The first on each driver that there is.
    const drivers = name === "ten-lines" ? [lavapipe, swiftshader] : [lavapipe];
    for (const driver of drivers) {
      const env = driver ? driverEnvironment(driver) : {};
      requireAnswer(`Node, ${name}`, run(folder, process.execPath, [`${name}.mjs`], env));
    }
  }
  for (const name of ["ai-sdk", "openai-in-page", "own-thread"]) {
    requireAnswer(`Node, ${name}`, run(folder, process.execPath, [`${name}.mjs`]));
  }
  const options = ["--model", "demo", "--device", "reference"];
  const cli = ["weft", "run", ...options, "--chat", "--prompt", "Reverse: sun, box"];
  requireAnswer("Node, weft run", run(folder, "npx", ["--no-install", ...cli]));
  const serve = ["node_modules/weft-llm/bin/weft.mjs", "serve", ...options, "--port", "0"];
  await withServer(folder, serve, async (url) => {
    const client = ["openai-served.mjs", new URL("v1", url).href];
    requireAnswer("Node, weft serve and openai", run(folder, process.execPath, client));
  });
  say(`Node ${process.versions.node}: all doors`);
}

function files() {
  /** @type {Record<string, string>} */
  const all = { "ambient.d.ts": AMBIENT, "own-thread.mjs": OWN_THREAD };
  for (const name of /** @type {(keyof typeof PROGRAMS)[]} */ (Object.keys(PROGRAMS))) {
    all[`${name}.ts`] = program(name);
  }
  // Node 20 runs no TypeScript; the programs are JavaScript as well.
  for (const name of /** @type {const} */ (["ten-lines", "in-node"])) {
    all[`${name}.mjs`] = program(name, '"demo"');
  }
  all["in-your-program.mjs"] = program("in-your-program")
    .replace("port: 8000", "port: 0")
    .replace("// …", "console.log((await fetch(server.url.replace('v1', 'health'))).status);");
  for (const name of /** @type {const} */ (["ai-sdk", "openai-in-page"])) {
    all[`${name}.mjs`] = program(name, SLOW)
      .replace("weft-llm/worker", "weft-llm/node")
      .replace("document.body.append", "process.stdout.write");
  }
  all["openai-served.mjs"] = program("openai-served")
    .replace('"http://127.0.0.1:8000/v1"', "process.argv[2]")
    .replace("Qwen/Qwen3-0.6B", "demo");
  return all;
}

/** The programs as they stand in the documentation, by both ways in which types are found. @param {string} folder */
function checkTypes(folder) {
  const sources = [...Object.keys(PROGRAMS).map((name) => `${name}.ts`), "ambient.d.ts"];
  const options = ["--strict", "--target", "es2023", "--noEmit", "--types", "node"];
  const byNode = ["--module", "nodenext", "--moduleResolution", "nodenext"];
  const byBundlers = ["--module", "esnext", "--moduleResolution", "bundler"];
  for (const how of [byNode, byBundlers]) {
    run(folder, "npx", ["--no-install", "tsc", ...options, ...how, ...sources]);
  }
  say(`types: ${sources.length - 1} programs, by Node's rules and by bundlers'`);
}
