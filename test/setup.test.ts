// Set-up reads the machine's own apt sources, asks for one Dawn, and records no registry.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSources } from "../scripts/setup/debian.mjs";
import { driverEnvironment } from "../scripts/setup/state.mjs";

const ROOT = join(import.meta.dirname, "..");
const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));

test("one-line apt sources", () => {
  const text = `# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian bookworm main contrib # why
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-updates main`;
  const uris = "http://mirror.example/debian";
  expect(parseSources(text, false)).toEqual([
    {
      uris,
      suites: ["bookworm"],
      components: "main contrib",
      signedBy: "/usr/share/keyrings/a.gpg",
    },
    { uris, suites: ["bookworm-updates"], components: "main", signedBy: null },
  ]);
});

test("deb822 apt sources", () => {
  const text = `Types: deb deb-src
# a snapshot
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/a.gpg

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
`;
  expect(parseSources(text, true)).toEqual([
    {
      uris: "http://mirror.example/debian",
      suites: ["bookworm", "bookworm-updates"],
      components: "main",
      signedBy: "/usr/share/keyrings/a.gpg",
    },
  ]);
});

test("an unpacked driver's libraries come before the inherited ones", () => {
  const env = driverEnvironment({ icd: "/c/lvp_icd.json", libraryPath: ["/c/lib"] });
  const inherited = process.env.LD_LIBRARY_PATH;
  expect(env).toEqual({
    VK_DRIVER_FILES: "/c/lvp_icd.json",
    VK_ICD_FILENAMES: "/c/lvp_icd.json",
    LD_LIBRARY_PATH: inherited ? `/c/lib:${inherited}` : "/c/lib",
  });
});

test("the lock file names no registry and one Dawn", () => {
  const entries = Object.entries<{ resolved?: string }>(lock.packages);
  expect(entries.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
  const dawns = entries.map(([path]) => path).filter((path) => path.endsWith("/webgpu"));
  expect(dawns).toEqual(["node_modules/webgpu"]);
});

test("what runs before anything is installed imports nothing but Node's own", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const first = ["setup", "demo", "test", "page", "lab", "soak"].map((name) => {
    const [, file] = /^node (\S+)$/.exec(scripts[name]) ?? [];
    return join(ROOT, file!);
  });
  const files = new Set([
    ...first,
    join(ROOT, "bin/weft.mjs"),
    join(ROOT, "apps/electron/smoke.mjs"),
  ]);
  const packages: string[] = [];
  for (const file of files) {
    const text = readFileSync(file, "utf8");
    // Static ones alone: what is imported later is there by then.
    for (const [, name] of text.matchAll(/^(?:import|export)\s[^;]*?from\s+"([^"]+)";/gms)) {
      if (name!.startsWith(".")) files.add(join(file, "..", name!));
      else if (!name!.startsWith("node:")) packages.push(`${file.slice(ROOT.length + 1)}: ${name}`);
    }
  }
  expect(packages).toEqual([]);
  expect(files.size).toBeGreaterThan(12);
});
