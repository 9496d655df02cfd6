// The demo page with an engine that is scripted: what a reader sees, hears and can do with keys alone.

import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { userEvent } from "vitest/browser";
import type { EngineChoice, LoadWatch } from "../../apps/page/engine.ts";
import { WeftPage } from "../../apps/page/weft-page.ts";
import type { TraceEvent } from "../../worker.ts";
import { ScriptedEngine } from "./scripted-engine.ts";
import "../../apps/page/page.css";

let page: WeftPage;
let engine: ScriptedEngine;
let choices: EngineChoice[];
let load: (choice: EngineChoice, watch: LoadWatch) => Promise<void>;

beforeEach(async () => {
  document.documentElement.lang = "en";
  engine = new ScriptedEngine();
  choices = [];
  load = async () => {};
  page = new WeftPage();
  page.open = async (choice, watch) => {
    choices.push(choice);
    await load(choice, watch);
    return engine.door;
  };
  document.body.append(page);
});

afterEach(() => {
  page.remove();
});

const card = (name: string): HTMLElement =>
  [...page.querySelectorAll<HTMLElement>("weft-conversation")].find(
    (view) => view.querySelector("h3")?.textContent === name,
  )!;
const select = (root: ParentNode, name: string) =>
  root.querySelector<HTMLSelectElement>(`select[name=${name}]`)!;
const write = async (name: string, text: string) => {
  await userEvent.type(card(name).querySelector("form textarea")!, `${text}{Enter}`);
};
const status = () => page.querySelector(".status")!.textContent;
const heard = () => page.querySelector("[role=status]")!.textContent;
const sees = (name: string, text: string) =>
  vi.waitFor(() => expect(card(name).textContent).toContain(text));

describe("conversations", () => {
  beforeEach(() => page.picker.pick());

  test("stream side by side, each with its own priority and layers", async () => {
    const agent = select(card("B"), "priority");
    await userEvent.selectOptions(agent, "background");
    await userEvent.selectOptions(select(card("B"), "layers"), "early-exit");
    expect(card("B").textContent).toMatch(/Lossy: −0\.\d+ points of accuracy/);
    await write("A", "first");
    await write("B", "second");
    const [a, b] = [engine.of("A"), engine.of("B")];
    expect(a.request).toMatchObject({ priority: "interactive", stream: true });
    expect(a.request.layer_policy).toBeUndefined();
    expect(b.request).toMatchObject({
      priority: "background",
      layer_policy: { name: "early-exit" },
    });
    expect(a.request.messages.at(-1)).toEqual({ role: "user", content: "first" });
    a.say("one");
    b.say("uno");
    a.say(" two");
    await sees("A", "one two");
    await sees("B", "uno");
    // Nothing is said aloud before an answer is whole.
    expect(heard()).not.toContain("one");
    a.finish();
    await sees("A", "2 tokens");
    await vi.waitFor(() => expect(heard()).toBe("A answered: one two"));
    expect(card("B").classList).toContain("busy");
  });

  test("stop one by one, by button, by Escape, and all at once", async () => {
    for (const name of ["A", "B"]) await write(name, "go");
    await userEvent.click(page.querySelector<HTMLElement>(".bar button")!);
    await write("C", "go");
    engine.of("A").say("half");
    await sees("A", "half");
    await userEvent.click(card("A").querySelector("[type=submit]")!);
    await sees("A", "stopped");
    await sees("A", "half");
    card("B").querySelector<HTMLElement>("form textarea")!.focus();
    await userEvent.keyboard("{Escape}");
    await sees("B", "stopped");
    expect(engine.of("C").isAborted).toBe(false);
    await userEvent.selectOptions(select(page, "load"), "4");
    const all = [...page.querySelectorAll("button")].find(
      ({ textContent }) => textContent === "Stop all",
    )!;
    await userEvent.click(all);
    await vi.waitFor(() =>
      expect(engine.asked.map(({ isAborted }) => isAborted)).toEqual(engine.asked.map(() => true)),
    );
    expect(engine.asked).toHaveLength(7);
  });

  test("say what went wrong, and go on", async () => {
    await write("A", "go");
    engine.of("A").fail("the device was lost; create the engine again");
    await sees("A", "the device was lost");
    await vi.waitFor(() => expect(heard()).toContain("A failed: the device was lost"));
    await write("A", "again");
    engine.of("A").say("fine");
    engine.of("A").finish("length");
    await sees("A", "cut at its limit");
    expect(engine.of("A").request.messages.slice(-3)).toEqual([
      { role: "user", content: "go" },
      { role: "assistant", content: "" },
      { role: "user", content: "again" },
    ]);
    await userEvent.click(card("A").querySelector("[aria-label='Clear conversation A']")!);
    await vi.waitFor(() => expect(card("A").textContent).not.toContain("fine"));
    await write("A", "anew");
    const said = engine.of("A").request.messages.filter(({ role }) => role !== "system");
    expect(said).toEqual([{ role: "user", content: "anew" }]);
  });

  test("hold an answer to a form, with an example at hand, and tell what is none", async () => {
    const options = card("A").querySelector("weft-answer-options")!;
    const text = options.querySelector<HTMLTextAreaElement>("textarea")!;
    const message = card("A").querySelector<HTMLTextAreaElement>("form textarea")!;
    document.body.tabIndex = -1;
    document.body.focus();
    await reach("Answer: of any form");
    await userEvent.keyboard("{Enter}");
    expect(text.hidden).toBe(true);
    await userEvent.tab();
    expect(document.activeElement).toBe(select(options, "form"));
    await userEvent.selectOptions(select(options, "form"), "json_schema");
    expect(options.textContent).toContain("Answer: JSON of a schema");
    const { properties } = JSON.parse(text.value);
    // One Enter asks what goes with the example.
    for (const name of Object.keys(properties)) expect(message.value).toContain(name);
    await userEvent.fill(text, '{"type": ');
    await write("A", "");
    expect(options.querySelector("[role=alert]")!.textContent).toMatch(/no JSON/);
    expect(document.activeElement).toBe(text);
    expect(engine.asked).toHaveLength(0);
    expect(message.value).not.toBe("");
    await userEvent.fill(text, '{"type": "integer"}');
    expect(text.ariaInvalid).toBeNull();
    await userEvent.selectOptions(select(options, "thinking"), "8");
    await write("A", "");
    expect(engine.of("A").request).toMatchObject({
      response_format: { type: "json_schema", json_schema: { schema: { type: "integer" } } },
      thinking_budget: 8,
      tools: undefined,
    });
    expect(message.value).toBe("");
    engine.of("A").fail('the schema\'s keyword "not" at # cannot be enforced');
    await sees("A", 'the schema\'s keyword "not" at # cannot be enforced');
    await userEvent.selectOptions(select(options, "form"), "choice");
    await userEvent.fill(text, "yes\n\nno");
    await write("A", "{Control>}a{/Control}Is it?");
    const { response_format, messages } = engine.of("A").request;
    expect(response_format).toEqual({ type: "choice", choices: ["yes", "no"] });
    expect(messages.at(-1)!.content).toBe("Is it?");
  });

  test("show what is thought and called, and fold what is long", async () => {
    const rome = [...card("A").querySelectorAll<HTMLElement>(".suggestions button")].at(-1)!;
    await userEvent.click(rome);
    const thinking = () => [...card("A").querySelectorAll<HTMLDetailsElement>(".thinking")].at(-1)!;
    engine.of("A").think("I know no clock. ".repeat(20));
    await sees("A", "I know no clock.");
    expect(thinking().open).toBe(true);
    engine.of("A").call("get_time", '{"city": "Rome"}');
    await sees("A", 'get_time {"city": "Rome"}');
    expect(thinking().open).toBe(false);
    engine.of("A").finish("tool_calls");
    await vi.waitFor(() => expect(engine.of("A").request.messages.at(-1)!.role).toBe("tool"));
    await sees("A", '{"city": "Rome"} → {"time":"');
    engine.of("A").think("So");
    engine.of("A").say("Now.");
    engine.of("A").finish();
    await vi.waitFor(() => expect(heard()).toBe("A answered: Now."));
    expect(thinking().open).toBe(true);
    expect(card("A").querySelectorAll(".turn")).toHaveLength(3);
  });

  test("begin, go on and end with the keyboard alone", async () => {
    document.body.tabIndex = -1;
    document.body.focus();
    await reach("New conversation");
    await userEvent.keyboard("{Enter}");
    await userEvent.keyboard("hello{Enter}");
    engine.of("C").say("hi");
    engine.of("C").finish();
    await sees("C", "1 token");
    await reach("Close conversation C");
    await userEvent.keyboard("{Enter}");
    expect(card("C")).toBeUndefined();
    expect(document.activeElement?.getAttribute("aria-label")).toBe("Message to B");
    page.querySelector<HTMLElement>("[role=tab][aria-selected=true]")!.focus();
    await userEvent.keyboard("{ArrowRight}");
    expect(document.activeElement?.textContent).toBe("Kernel lab");
    expect(page.querySelector("iframe")?.title).toBe("Kernel lab");
    await userEvent.keyboard("{Home}");
    expect(page.querySelector<HTMLElement>(".talk")!.hidden).toBe(false);
  });
});

/** By Tab alone, from wherever the focus is. */
async function reach(label: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const { activeElement: at } = document;
    if ((at?.getAttribute("aria-label") ?? at?.textContent) === label) return;
    await userEvent.tab();
  }
  throw new Error(`no way to ${label} by Tab`);
}

describe("a model that is loaded", () => {
  test("shows its bytes, its rate and the time left, and can be cancelled", async () => {
    let watch: LoadWatch | undefined;
    load = (_, given) =>
      new Promise((_resolve, reject) => {
        watch = given;
        given.signal.addEventListener("abort", () => reject(new Error("aborted")));
      });
    const picking = page.picker.pick();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const sizes = { loadedBytes: 1e6, totalBytes: 4e6, file: "model.safetensors" };
    const slow = { ...sizes, bytesPerSecond: 0, secondsLeft: undefined };
    watch!.onProgress({ ...slow, phase: "download" });
    expect(status()).toBe("downloading 1.0 MB of 4.0 MB");
    watch!.onProgress({ ...sizes, phase: "download", bytesPerSecond: 5e5, secondsLeft: 6 });
    expect(status()).toBe("downloading 1.0 MB of 4.0 MB, 500 kB/s, 6.0 s left");
    expect(page.querySelector("progress")!.value).toBe(0.25);
    watch!.onProgress({ ...slow, phase: "load", loadedBytes: 4e6 });
    expect(status()).toBe("4.0 MB loaded; compiling and testing kernels");
    await userEvent.click(page.querySelector(".picker [type=submit]")!);
    expect(await picking).toBe(false);
    expect(status()).toBe("cancelled");
  });

  test("takes the place of the one before, and its fault is told", async () => {
    expect(await page.picker.pick()).toBe(true);
    const first = engine;
    await write("A", "go");
    engine = new ScriptedEngine();
    await userEvent.selectOptions(select(page, "model"), "demo-moe");
    await userEvent.selectOptions(select(page, "place"), "shared");
    expect(await page.picker.pick()).toBe(true);
    expect(first.isClosed).toBe(true);
    expect(choices[1]).toMatchObject({ shared: true, maxRows: 8, device: "gpu" });
    expect(choices[1].model).toMatch(/\/models\/demo-moe\/$/);
    await sees("A", "stopped");
    load = () => Promise.reject(new Error("no_adapter: this browser has no WebGPU"));
    expect(await page.picker.pick()).toBe(false);
    expect(status()).toContain("this browser has no WebGPU");
    expect(card("A").querySelector<HTMLButtonElement>("[type=submit]")!.disabled).toBe(true);
  });
});

test("models that are kept are listed, and deleted", async () => {
  page.remove();
  page = new WeftPage();
  page.open = async () => engine.door;
  const versions = [{ version: "1", sizeBytes: 3_800_000, storedAtMs: 0, files: [] }];
  let models = [{ model: "hf:org/name", location: "https://hub/name/", versions, partialBytes: 0 }];
  const remove = vi.fn(async () => {
    models = [];
  });
  page.stored.store = { list: async () => models, remove };
  document.body.append(page);
  await vi.waitFor(() => expect(page.stored.textContent).toContain("1 model stored, 3.8 MB"));
  page.stored.querySelector("details")!.open = true;
  await userEvent.click(page.stored.querySelector("[aria-label='Delete hf:org/name']")!);
  expect(remove).toHaveBeenCalledWith("https://hub/name/");
  await vi.waitFor(() => expect(page.stored.hidden).toBe(true));
  expect(heard()).toBe("hf:org/name is deleted");
});

describe("what the engine does", () => {
  test("cannot be told once it is gone, which is told", async () => {
    engine.fault = "the worker was lost; create the engine again";
    await page.picker.pick();
    await vi.waitFor(() => expect(status()).toContain("the worker was lost"));
  });

  test("is drawn, and told in words and tables", async () => {
    const holders = [2, 1, 1, 0, 0];
    const [owners, cached] = [
      [1, 1, 2, 0, 0],
      [true, false, false, true, false],
    ];
    engine.map = { blockTokens: 32, groups: [{ kind: "full", holders, owners, cached }] };
    const name = (tid: number, client: string): TraceEvent => ({
      ...{ ph: "M", name: "thread_name", pid: 1, tid },
      args: { name: `request ${tid}: agent, 40 prompt tokens`, client },
    });
    const slice = (tid: number, phase: string, args = {}): TraceEvent => ({
      ...{ ph: "X", name: phase, pid: 1, tid, ts: 0, dur: 400, args },
    });
    engine.trace = {
      displayTimeUnit: "ms",
      traceEvents: [
        name(1, "A"),
        name(2, "B"),
        slice(0, "2 rows", { rows: 2, tokens: 2, preempted: 1 }),
        slice(1, "preempted"),
        slice(2, "decode", { tokens: 7 }),
      ],
    };
    await page.picker.pick();
    await vi.waitFor(() =>
      expect(page.querySelector("weft-kv-map canvas")?.getAttribute("aria-label")).toBe(
        "Map of 5 KV blocks (full attention): 2 held by one request, 1 shared, 1 free with a prefix kept, 1 free",
      ),
    );
    const holderTexts = [...page.querySelectorAll(".holders li")].map((item) => item.textContent);
    expect(holderTexts).toEqual(["A 2", "B 1"]);
    const timeline = page.querySelector("weft-timeline")!;
    expect(timeline.querySelector("canvas")!.getAttribute("aria-label")).toBe(
      "Timeline of 2 clients: 1 plan in ten seconds, 1 preemption",
    );
    timeline.querySelector("details")!.open = true;
    await vi.waitFor(() => expect(timeline.querySelectorAll("tbody tr")).toHaveLength(2));
    const rows = [...timeline.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(rows).toEqual([
      ["2", "B", "agent", "decode", "40", "8", "0"],
      ["1", "A", "agent", "preempted", "40", "0", "1"],
    ]);
  });
});

describe("axe finds nothing serious", () => {
  test.each([
    ["light", "rgb(255, 255, 255)"],
    ["dark", "rgb(16, 20, 21)"],
  ])("in the %s theme", async (theme, background) => {
    await userEvent.selectOptions(select(page, "theme"), theme);
    await page.picker.pick();
    await userEvent.selectOptions(select(card("A"), "layers"), "early-exit");
    await write("A", "go");
    engine.of("A").think("how?");
    engine.of("A").say("so");
    engine.of("A").finish();
    card("A").querySelector<HTMLDetailsElement>("weft-answer-options details")!.open = true;
    await userEvent.selectOptions(select(card("A"), "form"), "json_schema");
    await userEvent.fill(card("A").querySelector("weft-answer-options textarea")!, "{");
    await write("A", "go");
    await write("B", "go");
    engine.of("B").call("buy", "{}");
    engine.of("B").fail("a fault");
    await sees("B", "a fault");
    for (const details of page.querySelectorAll("details")) details.open = true;
    expect(await serious()).toEqual([]);
    expect(getComputedStyle(document.body).backgroundColor).toBe(background);
  });

  test("and would find it", async () => {
    page.append(document.createElement("button"));
    expect(await serious()).toEqual([["button-name", ["<button></button>"]]]);
  });
});

async function serious(): Promise<[rule: string, elements: string[]][]> {
  const { violations } = await axe.run(page);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
}
