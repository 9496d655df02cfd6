// Gets Mesa's software Vulkan driver and Chromium on Debian and Ubuntu: with root's apt-get when
// told to change the system, else downloaded and unpacked into the cache without any privilege.
// The mirror is the one this machine is configured to use.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UNPACKED } from "./drivers.mjs";
import { CACHE, say } from "./state.mjs";

/** @typedef {{ uris: string, suites: string[], components: string, signedBy: string | null }} Source */

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SYSTEM_SOURCES = "/etc/apt/sources.list.d";
const BACKPORTS_FILE = join(SYSTEM_SOURCES, "weft-backports.sources");

/**
 * Suite that Mesa must come from. Dawn refuses the Mesa 22.3 of bookworm.
 * @type {Record<string, string>}
 */
const MESA_SUITE = { bookworm: "bookworm-backports" };

/** Debian or Ubuntu with its package tools; null elsewhere. */
export function debianRelease() {
  if (!existsSync("/etc/os-release") || !existsSync("/usr/bin/apt-get")) return null;
  const release = Object.fromEntries(
    readFileSync("/etc/os-release", "utf8")
      .split("\n")
      .map((line) => line.split("="))
      .map(([key, value = ""]) => [key, value.replaceAll('"', "")]),
  );
  if (release.ID !== "debian" && release.ID !== "ubuntu") return null;
  return { id: release.ID, codename: release.VERSION_CODENAME };
}

/**
 * @param {{ mesa: boolean, chromium: boolean, system: boolean }} want `system`: change this system
 * @returns {string | null} What went wrong, or null
 */
export function getDebianPackages({ mesa, chromium, system }) {
  const release = debianRelease();
  if (release === null) return "this system has no Debian packages";
  const suite = MESA_SUITE[release.codename];
  const packages = [
    ...(mesa ? ["libvulkan1", `mesa-vulkan-drivers${suite ? `/${suite}` : ""}`] : []),
    // Ubuntu's chromium package is an empty shell round a snap.
    ...(chromium && release.id === "debian" ? ["chromium"] : []),
  ];
  if (packages.length === 0) return "Ubuntu has no chromium package";
  const sources = configuredSources();
  const extra = suite ? backportsSource(sources, suite) : null;
  if (system && isRootOrSudo()) return installOnSystem(packages, extra);
  return unpackIntoCache(packages, extra);
}

/** @param {string[]} packages @param {Source | null} extra */
function installOnSystem(packages, extra) {
  say(`setup: apt-get install ${packages.join(" ")}`);
  if (extra !== null) {
    const text = `# Added by weft-llm's \`npm run setup\`: a Mesa that WebGPU accepts.\n${deb822(extra)}`;
    const write = run(["tee", BACKPORTS_FILE], { root: true, input: text });
    if (write !== null) return write;
  }
  return (
    run(["apt-get", "-q", "update"], { root: true }) ??
    run(["apt-get", "-q", "install", "--yes", "--no-install-recommends", ...packages], {
      root: true,
    })
  );
}

/** @param {string[]} packages @param {Source | null} extra */
function unpackIntoCache(packages, extra) {
  say(`setup: unpacking ${packages.join(" ")} into .cache/ (no privilege needed)`);
  const apt = join(CACHE, "debian", "apt");
  const archives = join(apt, "cache", "archives");
  rmSync(apt, { recursive: true, force: true });
  mkdirSync(join(archives, "partial"), { recursive: true });
  mkdirSync(join(apt, "state", "lists", "partial"), { recursive: true });
  const sources = [...configuredSources(), ...(extra ? [extra] : [])];
  writeFileSync(join(apt, "weft.sources"), sources.map(deb822).join("\n"));
  const options = {
    "Dir::State": join(apt, "state"),
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": join(apt, "cache"),
    "Dir::Etc::SourceList": join(apt, "weft.sources"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Debug::NoLocking": "true",
    "Acquire::Languages": "none",
    "Acquire::Retries": "1",
    // By default apt-get calls an update that reached no mirror a success.
    "APT::Update::Error-Mode": "any",
    "APT::Sandbox::User": "",
  };
  const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  const failure =
    run(["apt-get", "-q", ...flags, "update"]) ??
    run([
      ...["apt-get", "-q", ...flags, "install", "--yes", "--no-install-recommends"],
      ...["--download-only", ...packages],
    ]);
  if (failure !== null) return failure;
  mkdirSync(UNPACKED, { recursive: true });
  for (const archive of readdirSync(archives).filter((name) => name.endsWith(".deb"))) {
    const problem = run(["dpkg-deb", "--extract", join(archives, archive), UNPACKED]);
    if (problem !== null) return problem;
  }
  rmSync(apt, { recursive: true, force: true });
  relocateManifests();
  return null;
}

/** Manifests name a library for the dynamic linker; give its place relative to the manifest. */
function relocateManifests() {
  const folder = join(UNPACKED, "usr/share/vulkan/icd.d");
  if (!existsSync(folder)) return;
  const libraries = readdirSync(join(UNPACKED, "usr/lib")).find((name) => name.includes("-linux-"));
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    const library = manifest.ICD.library_path.split("/").at(-1);
    manifest.ICD.library_path = `../../../lib/${libraries}/${library}`;
    writeFileSync(file, JSON.stringify(manifest));
  }
}

/** The distribution's own entries of this machine's apt sources, in either syntax. */
function configuredSources() {
  const files = [
    "/etc/apt/sources.list",
    ...(existsSync(SYSTEM_SOURCES) ? readdirSync(SYSTEM_SOURCES) : []).map((name) =>
      join(SYSTEM_SOURCES, name),
    ),
  ].filter((file) => /\.(list|sources)$/.test(file) && existsSync(file));
  const codename = debianRelease()?.codename ?? "";
  const found = files
    .flatMap((file) => parseSources(readFileSync(file, "utf8"), file.endsWith(".sources")))
    .filter(
      ({ suites, components }) =>
        suites.some((suite) => suite.startsWith(codename)) && components.includes("main"),
    );
  if (found.length > 0) return found;
  const base = { components: "main", signedBy: existsSync(KEYRING) ? KEYRING : null };
  return [{ ...base, uris: "http://deb.debian.org/debian", suites: [codename] }];
}

/**
 * @param {string} text
 * @param {boolean} isDeb822
 * @returns {Source[]}
 */
export function parseSources(text, isDeb822) {
  if (isDeb822) {
    return text.split(/\n\s*\n/).flatMap((paragraph) => {
      const field = (/** @type {string} */ name) =>
        new RegExp(`^${name}:[ \\t]*(.+)$`, "im").exec(paragraph)?.[1].trim() ?? null;
      const [uris, suites] = [field("URIs"), field("Suites")];
      const isBinary = field("Types")?.split(/\s+/).includes("deb");
      if (!isBinary || !uris || !suites || field("Enabled") === "no") return [];
      const signedBy = field("Signed-By");
      const components = field("Components") ?? "main";
      return [{ uris, suites: suites.split(/\s+/), components, signedBy }];
    });
  }
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
    if (match === null) return [];
    const [, options = "", uris, suite, components] = match;
    const signedBy = /signed-by=(\S+)/i.exec(options)?.[1] ?? null;
    return [{ uris, suites: [suite], components: components.trim(), signedBy }];
  });
}

/**
 * The backports suite on the mirror that serves the release itself; null if already configured.
 * @param {Source[]} sources
 * @param {string} suite
 * @returns {Source | null}
 */
function backportsSource(sources, suite) {
  if (sources.some(({ suites }) => suites.includes(suite))) return null;
  const release = suite.replace("-backports", "");
  const main = sources.find(({ suites }) => suites.includes(release)) ?? sources[0];
  return { ...main, suites: [suite], components: "main" };
}

/** @param {Source} source */
function deb822({ uris, suites, components, signedBy }) {
  const signed = signedBy ? `Signed-By: ${signedBy}\n` : "";
  const what = `URIs: ${uris}\nSuites: ${suites.join(" ")}\nComponents: ${components}\n`;
  return `Types: deb\n${what}${signed}`;
}

function isRootOrSudo() {
  if (process.getuid?.() === 0) return true;
  return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0;
}

/**
 * @param {string[]} command
 * @param {{ root?: boolean, input?: string }} [options]
 * @returns {string | null} What went wrong, or null
 */
function run(command, { root = false, input } = {}) {
  const needsSudo = root && process.getuid?.() !== 0;
  const [program, ...args] = needsSudo ? ["sudo", "-n", ...command] : command;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const result = spawnSync(program, args, { input, env, encoding: "utf8", maxBuffer: 1 << 26 });
  if (result.status === 0) return null;
  const step = command.find((word) => /^(update|install|--extract)$/.test(word)) ?? "";
  const lines = `${result.stderr ?? result.error?.message ?? ""}`.trim().split("\n");
  const why = lines.find((line) => line.startsWith("E: ")) ?? lines.at(-1);
  return `${command[0]} ${step} failed: ${why}`;
}
