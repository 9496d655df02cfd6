// `weft simulate`: arguments, files, the JSON's fields, the table and the report.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { cli } from "../../apps/cli/cli.ts";
import { hardwareProfiles } from "../../scheduler/index.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-simulate-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, contents: string | Uint8Array): string {
  writeFileSync(join(folder, name), contents);
  return join(folder, name);
}

async function simulate(...args: string[]) {
  const streams = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
  };
  const { signal } = new AbortController();
  const status = await cli(["simulate", ...args], {
    ...streams,
    signal,
    onInterrupt: () => {},
    onTerminate: () => {},
  });
  const read = (stream: PassThrough): string => stream.read()?.toString() ?? "";
  return { status, stdout: read(streams.stdout), stderr: read(streams.stderr) };
}

async function json(...args: string[]) {
  const { status, stdout, stderr } = await simulate(...args, "--json");
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

const SMALL = ["--requests", "60", "--kv-tokens", "8192"];

const AZURE = [
  "TIMESTAMP,ContextTokens,GeneratedTokens",
  ...Array.from({ length: 30 }, (_, i) => `2023-11-16 18:15:${10 + i}.5,${100 + 10 * i},${20 + i}`),
].join("\n");

describe("refused", () => {
  test.each<[string[], RegExp]>([
    [["--policies", "past-futur"], /unknown policy past-futur; did you mean past-future\?/],
    [["--policies", "layered"], /layered cuts prompts to a quantum; give --quantum MS too/],
    [["--policies", "oracle,oracle"], /--policies names oracle twice/],
    [["--policies", ""], /unknown policy ; Known: past-future/],
    [["--load", "heavy"], /--load is "heavy", it must be backlog or a number above 0/],
    [["--load", "0.7,"], /--load is ""/],
    [["--load", "0"], /--load is "0"/],
    [["--load", "-1"], /--load is "-1"/],
    [["--kv-tokens", "10"], /--kv-tokens is "10", it must be an integer of 64 or more/],
    [["--requests", "0"], /--requests is "0"/],
    [["--seed", "x"], /--seed is "x"/],
    [["--hardware", "desktop-1.7"], /unknown hardware desktop-1.7; did you mean desktop-1.7b\?/],
    [["--report", join(folder, "nowhere", "r.html")], /there is no folder .*nowhere; create it/],
  ])("%j as bad usage", async (args, message) => {
    const { status, stdout, stderr } = await simulate(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });

  test.each<[string, string[], RegExp]>([
    [
      "a trace that is not there",
      ["--trace", join(folder, "no.csv")],
      /there is no file .*no\.csv/,
    ],
    ["a trace of another format", ["--trace", file("a.csv", "a,b\n1,2")], /line 1 of the trace/],
    ["a broken line", ["--trace", file("b.csv", `${AZURE}\n1,2,3`)], /line 32 .*TIMESTAMP is "1"/],
    [
      "a broken archive",
      ["--trace", file("c.gz", new Uint8Array([0x1f, 0x8b, 1]))],
      /c\.gz cannot be read: unexpected end of file/,
    ],
    ["a folder as trace", ["--trace", folder], /cannot be read: EISDIR/],
    ["a profile", ["--hardware", file("h.json", '{"gpu": 1}')], /hardware profile: gpu is 1/],
  ])("%s", async (_, args, message) => {
    const { status, stdout, stderr } = await simulate(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

test("the JSON has every field for each policy and load", async () => {
  const result = await json(...SMALL, "--load", "backlog,0.5");
  expect(result).toMatchObject({ trace: "built-in", kvTokens: 8192, requests: 60, seed: 0 });
  const runs = result.policies.map(({ name, load }: Record<string, unknown>) => [load, name]);
  const names = ["past-future", "conservative", "optimistic", "oracle", "fcfs"];
  expect(runs.slice(0, 5)).toEqual(names.map((name) => ["backlog", name]));
  expect(runs.slice(-5)).toEqual(names.map((name) => [0.5, name]));
  for (const run of result.policies) {
    expect(run.steps).toBeGreaterThan(100);
    for (const key of ["preemptions", "recomputedTokens", "refused"])
      expect(Number.isInteger(run[key])).toBe(true);
    for (const share of [run.recomputedShare, run.kvUtilization, run.jain]) {
      expect(share).toBeGreaterThanOrEqual(0);
      expect(share).toBeLessThanOrEqual(1);
    }
    expect(run.good).toBeGreaterThan(0);
    expect(run.good).toBeLessThanOrEqual(60);
    expect(run.goodput).toBeCloseTo((1000 * run.good) / run.makespanMs, 9);
    expect(run.ttftMs.p95).toBeGreaterThan(run.ttftMs.p50);
    expect(run.ttftMs.p99).toBeGreaterThanOrEqual(run.ttftMs.p95);
    expect(run.itlMs.p99).toBeGreaterThanOrEqual(run.itlMs.p50);
  }
});

test("the same arguments give the same output, another seed another", async () => {
  const args = [...SMALL, "--load", "0.8", "--policies", "past-future"];
  const first = await json(...args, "--seed", "7");
  expect(await json(...args, "--seed", "7")).toEqual(first);
  expect((await json(...args, "--seed", "8")).policies).not.toEqual(first.policies);
});

test("a trace and a profile from files, packed or not, and only the first requests", async () => {
  const packed = file("trace.csv.gz", gzipSync(AZURE));
  const profile = file("laptop.json", JSON.stringify(hardwareProfiles["laptop-0.6b"]));
  const args = ["--policies", "conservative", "--kv-tokens", "16384"];
  const all = await json("--trace", packed, "--hardware", profile, ...args);
  expect(all).toMatchObject({ trace: "trace.csv.gz", requests: 30 });
  const plain = file("trace.csv", AZURE);
  const named = await json("--trace", plain, "--hardware", "laptop-0.6b", ...args);
  expect(named.policies).toEqual(all.policies);
  expect((await json("--trace", packed, ...args, "--requests", "5")).requests).toBe(5);
});

test("a table on stdout, progress on stderr, and a report that stands alone", async () => {
  const report = join(folder, "report.html");
  const args = [...SMALL, "--policies", "past-future,oracle", "--load", "0.5,1"];
  const { status, stdout, stderr } = await simulate(...args, "--report", report);
  expect(status).toBe(0);
  const [head, ...rows] = stdout.trimEnd().split("\n");
  expect(head).toMatch(/^policy +load +steps +preempted .*good +goodput/);
  expect(rows.map((row) => row.split(/ +/).slice(0, 2).join(" "))).toEqual([
    ...["past-future 0.5", "oracle 0.5", "past-future 1", "oracle 1"],
  ]);
  expect(stderr).toMatch(/^past-future, load 0.5: \d+ steps simulated in .* s\n/);
  const html = readFileSync(report, "utf8");
  expect(html).toMatch(/^<!doctype html>.*<\/html>\n$/s);
  // Four plots for each load, and goodput against load.
  expect(html.match(/<svg /g)).toHaveLength(9);
  expect(html).not.toMatch(/NaN|Infinity|undefined|<script|https?:/);
  expect(html).toContain("prefers-color-scheme:dark");
});
