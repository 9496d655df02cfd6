// Looks for software Vulkan drivers and for Chromium: on the system, and in the cache that
// debian.mjs fills. Installs nothing.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { probeAdapter } from "./probe.mjs";
import { CACHE, driverEnvironment, libraryEnvironment } from "./state.mjs";

/** @typedef {import("./state.mjs").Driver} Driver */

/** Where debian.mjs unpacks packages: a file tree that mirrors `/`. */
export const UNPACKED = join(CACHE, "debian", "root");

const MULTIARCH = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
const MANIFEST_FOLDERS = [
  "/usr/share/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/etc/vulkan/icd.d",
];
/** Folders in which a Chromium keeps its own SwiftShader. */
const CHROMIUM_FOLDERS = [
  "/usr/lib/chromium",
  "/usr/lib/chromium-browser",
  "/usr/lib64/chromium-browser",
  "/opt/google/chrome",
  "/opt/chromium.org/chromium",
];
const CHROMIUM_PROGRAMS = {
  linux: ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map(
    (name) => `/usr/bin/${name}`,
  ),
  darwin: ["Google Chrome", "Chromium"].map(
    (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
  ),
  win32: [process.env.PROGRAMFILES, process.env["PROGRAMFILES(X86)"], process.env.LOCALAPPDATA]
    .filter((folder) => folder !== undefined)
    .map((folder) => join(folder, "Google", "Chrome", "Application", "chrome.exe")),
};

/**
 * The first manifest under which Dawn answers with the driver of that name.
 * @param {import("./state.mjs").DriverName} name
 * @returns {Promise<Driver | null>}
 */
export async function findDriver(name) {
  const manifests = name === "lavapipe" ? lavapipeManifests : swiftshaderManifests;
  const wanted = name === "lavapipe" ? /llvmpipe/i : /swiftshader/i;
  for (const { root, libraryPath } of places()) {
    for (const icd of manifests(root)) {
      const adapter = await probeAdapter(driverEnvironment({ icd, libraryPath }));
      if (adapter && wanted.test(adapter.description)) return { icd, libraryPath, adapter };
    }
  }
  return null;
}

/** @returns {import("./state.mjs").Browser | null} A Chromium that starts */
export function findChromium() {
  const system = CHROMIUM_PROGRAMS[/** @type {"linux"} */ (process.platform)] ?? [];
  // Not the wrapper in /usr/bin of the unpacked tree: it refers to absolute paths.
  const unpacked = join(UNPACKED, "usr/lib/chromium/chromium");
  const fonts = join(UNPACKED, "etc/fonts");
  const candidates = [
    ...system.map((path) => ({ path, env: {} })),
    {
      path: unpacked,
      env: {
        ...libraryEnvironment(unpackedLibraries()),
        ...(existsSync(fonts) ? { FONTCONFIG_PATH: fonts } : {}),
      },
    },
  ];
  for (const { path, env } of candidates) {
    if (!existsSync(path)) continue;
    // Chrome on Windows has no --version; elsewhere this proves that its libraries are found.
    if (process.platform === "win32") return { path, env, version: "unknown" };
    const run = spawnSync(path, ["--version"], {
      env: { ...process.env, ...env },
      timeout: 20_000,
    });
    if (run.status === 0) return { path, env, version: String(run.stdout).trim() };
  }
  return null;
}

/** The system first; a driver unpacked there needs its libraries named. */
function places() {
  if (process.platform !== "linux") return [];
  return [
    { root: "", libraryPath: [] },
    { root: UNPACKED, libraryPath: unpackedLibraries() },
  ];
}

function unpackedLibraries() {
  return [`usr/lib/${MULTIARCH}`, `lib/${MULTIARCH}`, `usr/lib/${MULTIARCH}/pulseaudio`]
    .map((folder) => join(UNPACKED, folder))
    .filter((folder) => existsSync(folder));
}

/** @param {string} root @returns {string[]} */
function lavapipeManifests(root) {
  // Distributions add the machine's name or nothing: lvp_icd.json, lvp_icd.x86_64.json.
  const other = process.arch === "x64" ? /i\d86|aarch64/ : /i\d86|x86_64/;
  return MANIFEST_FOLDERS.map((folder) => root + folder)
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => /\/lvp_icd[^/]*\.json$/.test(path) && !other.test(path));
}

/** @param {string} root @returns {string[]} */
function swiftshaderManifests(root) {
  return CHROMIUM_FOLDERS.map((folder) =>
    join(root || "/", folder, "vk_swiftshader_icd.json"),
  ).filter((path) => existsSync(path));
}
