// The package in pages: the programs of the documentation, one after another in one page, as each bundler
// builds it. What users of a bundler have to write besides is here word for word, or taken from docs/.

import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, say } from "../setup/state.mjs";
import { serveFolders } from "../static-server.mjs";
import { program } from "./programs.mjs";
import { pinned, project } from "./project.mjs";
import { requireAnswer, run, withServer } from "./run.mjs";

const PORT = 47_311;
const NAMES = ["in-a-page", "ai-sdk", "openai-in-page", "prompt-api", "forms"];
const DEMO = 'location.origin + "/demo"';
/** The constraints' own worker, started by the engine's and by the page itself. */
const FORMS = `import { createEngine as createHere } from "weft-llm";
import { createEngine } from "weft-llm/worker";
for (const create of [createEngine, createHere]) {
  const engine = await create({ model: ${DEMO}, device: "reference" });
  const { choices } = await engine.chat.completions.create({
    messages: [{ role: "user", content: "A fruit" }],
    response_format: { type: "choice", choices: ["pear", "apple"] },
  });
  document.body.append(choices[0].message.content, " ");
  await engine.close();
}
`;
const WEBPACK = "5.112.2";
const END = "[end]";

/**
 * @typedef {import("playwright").Browser} Browser
 * @typedef {object} Bundler
 * @property {readonly string[]} packages
 * @property {Readonly<Record<string, string>>} [files]
 * @property {string} [script] How the page loads what was built
 * @property {(folder: string, see: (what: string, url: string) => Promise<void>) => Promise<void>} check
 */

/** @type {Readonly<Record<string, Bundler>>} */
const BUNDLERS = {
  vite8: { packages: ["vite@8"], check: checkVite },
  vite7: {
    packages: ["vite@7"],
    files: { "vite.config.js": shown("README.md", /^export default \{ worker.*$/m) },
    check: checkVite,
  },
  webpack: {
    packages: [`webpack@${WEBPACK}`],
    // webpack's own command line needs a newer Node.
    files: {
      "build.mjs": `import webpack from "webpack";
webpack({ mode: "production", entry: "./main.js" }, (error, stats) => {
  if (error) throw error;
  if (stats.hasErrors()) throw new Error(stats.toString("errors-only"));
});
`,
    },
    script: '<script defer src="main.js"></script>',
    async check(folder, see) {
      run(folder, process.execPath, ["build.mjs"]);
      await seeBuilt(folder, "dist", see);
    },
  },
  esbuild: {
    packages: pinned("esbuild"),
    script: '<script type="module" src="main.js"></script>',
    async check(folder, see) {
      run(folder, "sh", [
        "-ec",
        shown("docs/quick-start.md", /(?<=```sh\n)npx esbuild .*?(?=```)/s),
      ]);
      await seeBuilt(folder, "dist", see);
    },
  },
};

export const BUNDLER_NAMES = Object.keys(BUNDLERS);

/** @param {string} name @param {string} tarball @param {string} work @param {Browser} browser */
export async function checkInPages(name, tarball, work, browser) {
  const { packages, files, check } = BUNDLERS[name];
  const others = pinned("openai", "ai", "hono");
  const folder = project(work, name, [tarball, ...packages, ...others], {
    ...pageFiles(BUNDLERS[name].script),
    ...files,
  });
  await check(folder, async (what, url) => {
    const { answers, scripts, scriptBytes } = await visit(browser, url);
    for (const program of NAMES) requireAnswer(`${what}, ${program}`, answers.get(program) ?? "");
    say(`${what}: ${scriptBytes} bytes of script in ${scripts} files`);
  });
}

/** @type {Bundler["check"]} */
async function checkVite(folder, see) {
  const name = folder.slice(folder.lastIndexOf("vite"));
  cpSync(demoOf(folder), join(folder, "public", "demo"), { recursive: true });
  const vite = join("node_modules", "vite", "bin", "vite.js");
  const at = ["--port", `${PORT}`, "--strictPort"];
  run(folder, process.execPath, [vite, "build"]);
  const preview = [vite, "preview", ...at];
  await withServer(folder, preview, (url) => see(`${name}, build and preview`, url));
  await withServer(folder, [vite, ...at], (url) => see(`${name}, dev`, url));
}

/** @param {string} folder @param {string} built @param {Parameters<Bundler["check"]>[1]} see */
async function seeBuilt(folder, built, see) {
  cpSync(join(folder, "index.html"), join(folder, built, "index.html"));
  const { origin, close } = await serveFolders(
    { "/demo/": demoOf(folder), "/": join(folder, built) },
    0,
  );
  try {
    await see(folder.slice(folder.lastIndexOf("/") + 1), `${origin}/`);
  } finally {
    close();
  }
}

const demoOf = (/** @type {string} */ folder) =>
  join(folder, "node_modules", "weft-llm", "assets", "demo");

/** The first program is on the GPU, which takes long on a software driver; the doors are the same on any device. */
function pageFiles(script = '<script type="module" src="/main.js"></script>') {
  const slow = `${DEMO}, device: "reference"`;
  return {
    "in-a-page.js": program("in-a-page", DEMO),
    "ai-sdk.js": program("ai-sdk", slow),
    "openai-in-page.js": program("openai-in-page", slow),
    "prompt-api.js": program("prompt-api", `{ model: ${slow} }`),
    "forms.js": FORMS,
    "main.js": `globalThis.show = () => {};
const programs = { ${NAMES.map((name) => `"${name}": () => import("./${name}.js")`).join(", ")} };
for (const [name, run] of Object.entries(programs)) {
  document.body.append(\`[\${name}]\`);
  await run();
}
document.body.append("${END}");
`,
    "index.html": `<!doctype html><link rel="icon" href="data:"><body>${script}</body>\n`,
  };
}

/** @param {string} file @param {RegExp} what @returns {string} What a file of the documentation shows */
function shown(file, what) {
  const [found] = what.exec(readFileSync(join(ROOT, file), "utf8")) ?? [];
  if (!found) throw new Error(`${file} does not show ${what}`);
  return `${found}\n`;
}

/** What each program said in the page, once all have ended. @param {Browser} browser @param {string} url */
async function visit(browser, url) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const faults = [];
  /** @type {Promise<number>[]} */
  const scripts = [];
  page.on("pageerror", ({ message }) => faults.push(message));
  page.context().on("response", (response) => {
    if (/\.m?js(\?|$)/.test(response.url())) {
      scripts.push(
        response.body().then(
          (body) => body.length,
          () => 0,
        ),
      );
    }
  });
  try {
    await page.goto(url);
    let text = "";
    for (let i = 0; i < 180 && !text.includes(END) && faults.length === 0; i++) {
      await page.waitForTimeout(1_000);
      text = (await page.locator("body").textContent()) ?? "";
    }
    if (faults.length > 0) throw new Error(`${url}: ${faults.join("; ")}`);
    if (!text.includes(END)) throw new Error(`${url}: the page did not end: ${text}`);
    const answers = new Map(
      [...text.matchAll(/\[([\w-]+)\]([^[]*)/g)].map(([, name, said]) => [name, said]),
    );
    const bytes = await Promise.all(scripts);
    return {
      answers,
      scripts: bytes.length,
      scriptBytes: bytes.reduce((sum, size) => sum + size, 0),
    };
  } finally {
    await page.close();
  }
}
