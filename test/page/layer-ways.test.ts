// The loss that the page states beside a way to skip layers is the one that was measured, and every way
// is a policy that the engine takes.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type LayerWay, layerWays } from "../../apps/page/layer-ways.ts";
import pareto from "../../docs/results/layer-pareto.json" with { type: "json" };
import { readDecoderSpec } from "../../models/registry.ts";
import { LayerPolicies } from "../../runtime/layer-policies.ts";

describe.each(["demo", "demo-moe"])("of %s", async (key) => {
  const ways = layerWays(key);
  const config = readFileSync(new URL(`../../assets/${key}/config.json`, import.meta.url), "utf8");
  const spec = await readDecoderSpec(JSON.parse(config));
  const policies = new LayerPolicies({ spec, maxDraftTokens: 8, isRouted: false });
  const resolved = ({ policy }: LayerWay) => policies.resolve(policy);

  test("the whole model comes first, then what loses nothing, then the rest by loss", () => {
    expect(ways[0]).toMatchObject({ key: "all" });
    expect(ways.slice(1, 3).map(({ name }) => name)).toEqual([
      expect.stringContaining("lossless"),
      expect.stringContaining("lossless"),
    ]);
    expect(ways.slice(3).every(({ quality }) => quality.startsWith("Lossy: −"))).toBe(true);
    expect(new Set(ways.map((way) => way.key)).size).toBe(ways.length);
  });

  test("of each length the best plan of the measured front is there, with its points", () => {
    const { ways: measured } = pareto.models.find(({ model }) => model.endsWith(`/${key}`))!;
    const front = measured.filter(({ way, pareto: best }) => way === "static" && best);
    const lengths = new Set(front.map(({ sublayersExecuted }) => sublayersExecuted));
    expect(lengths.size).toBeGreaterThan(1);
    expect(ways.filter(({ policy }) => policy?.name === "static")).toHaveLength(lengths.size);
    for (const length of lengths) {
      const alike = front.filter(({ sublayersExecuted }) => sublayersExecuted === length);
      const [best] = alike.sort((a, b) => b.lessWhole.points - a.lessWhole.points);
      const { plan, lessWhole, sublayersExecuted, sublayers } = best;
      const way = ways.find(({ policy }) =>
        JSON.stringify(policy ?? {}).includes(JSON.stringify(plan)),
      )!;
      const points = -lessWhole.points;
      expect(way.quality).toContain(`−${points.toFixed(2)} points`);
      expect(2 * resolved(way).layersExecuted).toBe(sublayersExecuted);
      expect(way.name).toContain(`skip ${sublayers - sublayersExecuted} of ${sublayers}`);
    }
  });

  test("the engine takes each, and calls it lossy where the page does", () => {
    for (const way of ways) expect(resolved(way).lossy).toBe(way.quality.startsWith("Lossy"));
  });
});

test("another model's loss is not known, and is not made up", () => {
  const ways = layerWays("other");
  expect(ways.map(({ quality }) => quality).join(" ")).not.toMatch(/\d/);
  expect(ways.at(-1)!.quality).toMatch(/not measured/);
});
