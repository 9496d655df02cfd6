// `/metrics` as Prometheus reads it: every line fits the text format, and the figures are those of what was asked.

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { EngineMetrics } from "../../../index.ts";
import { createHandler } from "../../../server.ts";
import { ScriptedEngine } from "../scripted-engine.ts";
import { atRest, client, MESSAGES, type Served, served } from "../served.ts";

describe("/metrics", () => {
  let main: Served;
  beforeAll(async () => {
    main = await served();
  });

  interface Sample {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }

  interface Family {
    readonly type: string;
    readonly samples: Sample[];
  }

  /** @throws {Error} at what is not version 0.0.4 of the text format. */
  function parse(text: string): Map<string, Family> {
    const families = new Map<string, Family>();
    let current = "";
    expect(text.endsWith("\n")).toBe(true);
    for (const line of text.slice(0, -1).split("\n")) {
      const help = /^# HELP ([a-zA-Z_:][\w:]*) \S.*$/.exec(line);
      if (help) {
        current = help[1];
        expect(families.has(current), `${current} once`).toBe(false);
        continue;
      }
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
      if (type) {
        expect(type[1]).toBe(current);
        families.set(current, { type: type[2], samples: [] });
        continue;
      }
      const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.e+-]+|\+Inf|-Inf|NaN)$/.exec(line);
      if (!sample) throw new Error(`not a sample: ${line}`);
      const [, name, set = "", value] = sample;
      const labels: Record<string, string> = {};
      const rest = set.replace(
        /([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"(,|$)/g,
        (_, label, held) => {
          labels[label] = held;
          return "";
        },
      );
      expect(rest, line).toBe("");
      const family = families.get(current)!;
      expect(family.type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name).toBe(
        current,
      );
      if (family.type === "counter") expect(name).toMatch(/_total$/);
      family.samples.push({ name, labels, value: Number(value.replace("Inf", "Infinity")) });
    }
    for (const [name, { type, samples }] of families) {
      expect(samples.length, name).toBeGreaterThan(0);
      const series = samples.map((sample) => JSON.stringify([sample.name, sample.labels]));
      expect(new Set(series).size, name).toBe(series.length);
      if (type === "histogram") checkHistogram(name, samples);
    }
    return families;
  }

  function checkHistogram(name: string, samples: readonly Sample[]): void {
    const of = (suffix: string) => samples.filter((sample) => sample.name === `${name}_${suffix}`);
    for (const { labels, value: count } of of("count")) {
      const same = ({ le: _, ...others }: Sample["labels"]) =>
        JSON.stringify(others) === JSON.stringify(labels);
      const buckets = of("bucket").filter((bucket) => same(bucket.labels));
      const counts = buckets.map(({ value }) => value);
      expect(counts).toEqual([...counts].sort((a, b) => a - b));
      expect(buckets.at(-1)).toMatchObject({ labels: { le: "+Inf" }, value: count });
    }
  }

  async function scrape(): Promise<Map<string, Family>> {
    const response = await fetch(`${main.server.url.slice(0, -"/v1".length)}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    return parse(await response.text());
  }

  test("counts what was asked, answered and refused", async () => {
    const { server, engine } = main;
    const api = client(server);
    const request = { model: engine.info.model.id, messages: MESSAGES, max_completion_tokens: 5 };
    await api.chat.completions.create(request);
    for await (const _ of await api.chat.completions.create({ ...request, stream: true }));
    await api.chat.completions.create({ ...request, model: "other" }).catch(() => {});
    await fetch(`${server.url}/${"secret-of-the-caller"}`);
    await atRest(engine);
    const families = await scrape();
    const value = (name: string, labels: Sample["labels"] = {}) =>
      families
        .get(name)
        ?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;
    const route = "POST /v1/chat/completions";
    expect(value("weft_http_requests_total", { route, status: "200" })).toBe(2);
    expect(value("weft_http_requests_total", { route, status: "404" })).toBe(1);
    expect(value("weft_http_requests_total", { route: "other", status: "404" })).toBe(1);
    expect(value("weft_http_errors_total", { code: "model_not_found" })).toBe(1);
    expect(value("weft_http_answers")).toBe(0);
    const counts = families.get("weft_http_request_seconds")?.samples;
    expect(counts?.find(({ name }) => name.endsWith("_count"))?.value).toBe(3);
    const gaps = families.get("weft_http_chunk_gap_seconds")?.samples;
    expect(gaps?.find(({ name }) => name.endsWith("_count"))?.value).toBeGreaterThan(3);
    const { model } = request;
    expect(value("weft_requests_total", { model })).toBe(2);
    expect(value("weft_sampled_tokens_total", { model })).toBe(10);
    expect(value("weft_kv_used_ratio", { model, group: "0" })).toBe(0);
    expect(value("weft_recent_ttft_seconds", { model, quantile: "0.5" })).toBeGreaterThan(0);
    expect(value("weft_predicted_queue_seconds", { model, priority: "agent" })).toBe(0);
  });

  test("the engine is asked once a second at most, however often its figures are", async () => {
    const { engine } = main;
    const metrics = vi.spyOn(engine, "metrics");
    await Promise.all(Array.from({ length: 6 }, scrape));
    expect(metrics.mock.calls.length).toBeLessThan(2);
  });

  test("docs/metrics.md has every name", async () => {
    const docs = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
    const names = new Set([...(await scrape()).keys(), ...(await scrapeAll()).keys()]);
    expect(names.size).toBeGreaterThan(50);
    for (const name of names) expect(docs, name).toContain(`\`${name}\``);
  });

  describe("of several models and a cluster", () => {
    test("each sample names its model; one that is not loaded has its counters alone", async () => {
      const families = await scrapeAll();
      const of = (name: string) =>
        families.get(name)?.samples.map(({ labels: { model }, value }) => [model, value]);
      const odd = String.raw`o\"d\\d`;
      expect(of("weft_requests_total")).toEqual([
        ["chat", 7],
        [odd, 5],
      ]);
      expect(of("weft_requests_waiting")).toEqual([["chat", 0]]);
      expect(of("weft_model_loads_total")).toEqual([
        ["chat", 1],
        [odd, 3],
        ["new", 0],
      ]);
      expect(of("weft_expert_hits_total")).toEqual([["chat", 75]]);
      const states = families.get("weft_model_state")?.samples.filter(({ value }) => value === 1);
      expect(states?.map(({ labels: { model, state } }) => [model, state])).toEqual([
        ...[
          ["chat", "ready"],
          [odd, "unloaded"],
        ],
        ["new", "loading"],
      ]);
    });

    test("what went to the cluster is told by reason, and how it fares", async () => {
      const families = await scrapeAll();
      const of = (name: string) =>
        families.get(name)?.samples.map(({ labels, value }) => [...Object.values(labels), value]);
      expect(of("weft_overflow_requests_total")).toEqual([
        ["local", 40],
        ["cluster", 9],
      ]);
      expect(of("weft_overflow_reasons_total")).toEqual([
        ...[
          ["queue", 4],
          ["deadline", 3],
          ["context", 2],
        ],
        ...[
          ["model", 1],
          ["lost", 0],
        ],
      ]);
      expect(of("weft_overflow_moved_total")).toEqual([
        ["local", 1],
        ["cluster", 2],
      ]);
      expect(of("weft_overflow_cluster_up")).toEqual([[0]]);
      expect(of("weft_overflow_cluster_wait_seconds")).toEqual([[1.5]]);
    });
  });

  /** With all that an engine may have beside it. */
  async function scrapeAll(): Promise<Map<string, Family>> {
    const { door } = new ScriptedEngine();
    const own = await door.metrics();
    const chat = {
      ...{ ...own, total: { ...own.total, requests: 7 } },
      experts: {
        ...{ slots: 4, poolBytes: 1e6, needed: 100, hitRate: 0.75, uploads: 25, uploadsAhead: 3 },
        ...{ uploadedBytes: 25e6, hottest: [] },
      },
    };
    const counts = { bytes: 0, users: 0, waiting: 0, loads: 0, evictions: 0 };
    const metrics = async (): Promise<EngineMetrics> => ({
      ...chat,
      models: {
        chat: { ...counts, state: "ready", loads: 1, loadMs: 9, total: chat.total, engine: chat },
        'o"d\\d': { ...counts, state: "unloaded", loads: 3, total: { ...own.total, requests: 5 } },
        new: { ...counts, state: "loading", waiting: 1 },
      },
      overflow: {
        ...{ local: 40, cluster: 9, movedToLocal: 1, movedToCluster: 2, continued: 3 },
        ...{
          broken: 0,
          kept: 5,
          reasons: { queue: 4, deadline: 3, context: 2, model: 1, lost: 0 },
        },
        clusterState: { state: "open", failures: 2, waitMs: 1500, firstChunkMs: 80 },
      },
    });
    const handle = createHandler({ ...door, metrics });
    return parse(await (await handle(new Request("http://localhost/metrics"))).text());
  }
});
