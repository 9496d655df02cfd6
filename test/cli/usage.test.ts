// Wrong arguments: exit status 2 before any work, nothing on stdout, and a message that says what,
// actual, allowed and cure.

import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { cli } from "../../apps/cli/cli.ts";

async function run(...args: string[]) {
  const streams = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
  };
  const { signal } = new AbortController();
  const status = await cli(args, {
    ...streams,
    signal,
    onInterrupt: () => {},
    onTerminate: () => {},
  });
  const read = (stream: PassThrough) => stream.read()?.toString() ?? "";
  return { status, stdout: read(streams.stdout), stderr: read(streams.stderr) };
}

const CALIBRATE = ["calibrate", "--model", "demo"];
const SERVE = ["serve", "--model", "demo"];
const OVERFLOW = [...SERVE, "--overflow", "http://127.0.0.1:9/v1", "--overflow-when"];
const RUN = ["run", "--model", "demo", "--prompt", "x"];

describe("refused", () => {
  test.each<[string[], RegExp]>([
    [[], /a command is missing; give one of run, chat/],
    [["rum"], /unknown command rum; did you mean run\?/],
    [["xyzzy"], /unknown command xyzzy; Known: run, chat/],
    [["bench"], /unknown command bench; .*bench decode/],
    [["bench", "decoed"], /unknown command bench decoed; did you mean bench decode\?/],
    [["serve"], /--model is missing; add it, for example --model demo/],
    [["serve", "--model", "demo", "--model", "x"], /--model demo has no name .* --model NAME=demo/],
    [["serve", "--model", "a=demo", "--model", "a=x"], /--model a=… is given twice/],
    [["serve", "--model", "demo", "--port", "65536"], /--port is "65536", .*from 0 to 65535/],
    [["serve", "--model", "demo", "--api-key-file", "none"], /there is no file none/],
    [["serve", "--model", "demo", "--allow-origin", "x"], /--allow-origin is "x", it must be/],
    [[...SERVE, "--overflow", "cluster:8000"], /--overflow must be an http\(s\) URL with its \/v1/],
    [[...SERVE, "--overflow", "http://key@c/v1"], /--overflow must be .* as WEFT_OVERFLOW_KEY/],
    [[...SERVE, "--overflow-model", "m"], /--overflow-model is given without --overflow; add/],
    [[...SERVE, "--overflow-when", "queue"], /--overflow-when is given without --overflow; add/],
    [[...OVERFLOW, "qeue=1"], /unknown reason of --overflow-when qeue; did you mean queue\?/],
    [
      [...OVERFLOW, ""],
      /unknown reason of --overflow-when ; Known: queue, deadline, context, model/,
    ],
    [[...OVERFLOW, "queue=soon"], /--overflow-when: queue is "soon", it must be milliseconds/],
    [[...OVERFLOW, "model=big"], /--overflow-when: model takes no value, got "big"/],
    [[...OVERFLOW, "queue,queue=5"], /--overflow-when has queue twice; leave one out/],
    [["calibrate"], /--model is missing; add it/],
    [[...CALIBRATE, "--tokens", "8"], /--tokens is "8", it must be an integer from 16 to 65536/],
    [[...CALIBRATE, "--out", "nowhere/p.json"], /--out: there is no folder nowhere/],
    [[...CALIBRATE, "--tasks", "none.jsonl"], /--tasks: there is no file none.jsonl/],
    [[...CALIBRATE, "--tuned"], /--tuned is for runs; calibrate without it/],
    [[...CALIBRATE, "--prompt", "x"], /unknown option --prompt; Known: --model/],
    [
      ["bench", "kernels", "--tune", "--report", "r.html"],
      /--tune .* leave --report and --kernel out/,
    ],
    [["bench", "kernels", "--shapes", "qwen3-4c"], /unknown shape qwen3-4c; did you mean qwen3-4b/],
    [["bench", "kernels", "--shapes", ""], /unknown shape ; Known: tiny, llama-3.2-1b/],
    [["bench", "kernels", "--kernel", "none.mjs"], /--kernel: there is no file none.mjs/],
    [["bench", "kernels", "--kernel", "scripts/setup/state.mjs"], /state.mjs exports no kernel/],
    [["bench", "kernels", "--report", "nowhere/r.html"], /--report: there is no folder nowhere/],
    [["bench", "kernels", "--model", "demo"], /unknown option --model; Known: --shapes, --filter/],
    [["bench", "serve", "--concurrency", "1,0"], /--concurrency is "0", .*from 1 to 256/],
    [["bench", "serve", "--load", "0"], /--load is "0", it must be a number from 0.01 to 100/],
    [["bench", "serve", "--load", "0.5,"], /--load is ""/],
    [["bench", "serve", "--requests", "0"], /--requests is "0"/],
    [["bench", "serve", "--longest", "1"], /--longest is "1", it must be an integer of 2 or more/],
    [["bench", "serve", "--seed", "-1"], /--seed is "-1"/],
    [["bench", "serve", "--prompt-tokens", "8"], /unknown option --prompt-tokens; Known: .*--load/],
    [["run", "--prompt", "x"], /--model is missing; add it, for example --model demo/],
    [["run", "--model", "demo"], /--prompt is missing; add it/],
    [["chat"], /--model is missing/],
    [["logits", "--model", "demo"], /--ids is missing; add it, for example --ids 1,5,9/],
    [[...RUN, "--promt", "y"], /unknown option --promt; did you mean --prompt\?/],
    [[...RUN, "--frobnicate"], /unknown option --frobnicate; Known: --model/],
    [["chat", "--json"], /unknown option --json/],
    [[...RUN, "stray"], /unexpected argument "stray"/],
    [[...RUN, "--prompt", "y"], /--prompt is given twice/],
    [["run", "--model", "demo", "--prompt"], /--prompt has no value; write --prompt T/],
    [["run", "--model", "demo", "--prompt", "--json"], /--json is an option.*--prompt=--json/],
    [[...RUN, "--json=yes"], /--json is a switch and takes no value, got yes/],
    [[...RUN, "--system", "y"], /--system is given without --chat/],
    [[...RUN, "--max-tokens", "ten"], /--max-tokens is "ten", it must be an integer of 0 or more/],
    [[...RUN, "--max-tokens", "-1"], /--max-tokens is "-1"/],
    [[...RUN, "--max-tokens", "1.5"], /--max-tokens is "1.5"/],
    [[...RUN, "--temperature", "-1"], /--temperature is "-1", it must be a number from 0 to 100/],
    [[...RUN, "--temperature", ""], /--temperature is ""/],
    [[...RUN, "--top-k", "x"], /--top-k is "x"/],
    [[...RUN, "--top-p", "0"], /--top-p is "0"/],
    [[...RUN, "--top-p", "1.1"], /--top-p is "1.1"/],
    [[...RUN, "--min-p", "NaN"], /--min-p is "NaN"/],
    [[...RUN, "--seed", "a"], /--seed is "a"/],
    [[...RUN, "--device", "cpu"], /--device is "cpu", it must be one of auto, gpu, reference/],
    [[...RUN, "--kv", "f64"], /--kv is "f64", it must be one of f16, f32, i8/],
    [[...RUN, "--quant", "int4"], /--quant is "int4", it must be one of none, q8, q4/],
    [[...RUN, "--layer-plan", "{skip"], /--layer-plan is "\{skip", it must be JSON like \{"skip"/],
    [
      [...RUN, "--layer-plan", "{}", "--layer-policy", "skip-1"],
      /--layer-plan and --layer-policy are both given; leave one out/,
    ],
    [[...RUN, "--layer-plans", "p.json"], /--layer-plans is given without --layer-policy/],
    [
      [...RUN, "--layer-policy", "skip-1", "--layer-plans", "none.json"],
      /--layer-plans: there is no file none.json; correct the path/,
    ],
    [
      [...RUN, "--layer-policy", "skip-1", "--layer-plans", "README.md"],
      /--layer-plans: README.md is not JSON; give what weft calibrate has written/,
    ],
    [
      [...RUN, "--layer-policy", "temporal"],
      /--layer-policy temporal needs what most tokens leave out; add --layer-plan JSON/,
    ],
    [
      [...RUN, "--layer-policy", "routers"],
      /--layer-policy routers needs trained ones; add --layer-routers FOLDER/,
    ],
    [
      [...RUN, "--layer-policy", "skip-1", "--layer-routers", "routers"],
      /--layer-routers is given without --layer-policy routers; add it/,
    ],
    [["chat", "--model", "demo", "--layer-plans", "p.json"], /without --layer-policy; say which/],
    [["bench", "serve", "--layer-routers", "r"], /--layer-routers is given without --layer-policy/],
    [[...RUN, "--memory-budget", "lots"], /--memory-budget is "lots".*1\.5e9, 1500M or 1\.5G/],
    [[...RUN, "--memory-budget", "0"], /--memory-budget is "0"/],
    [[...RUN, "--memory-budget", "-5"], /--memory-budget is "-5"/],
    [["logits", "--model", "demo", "--ids", ""], /--ids is ""/],
    [["logits", "--model", "demo", "--ids", "1,,2"], /--ids is ""/],
    [["logits", "--model", "demo", "--ids", "1,b"], /--ids is "b"/],
    [["logits", "--model", "demo", "--ids", "1", "--positions", "some"], /one of all, last/],
    [["bench", "decode", "--concurrency", "0"], /--concurrency is "0", .*from 1 to 256/],
    [["bench", "decode", "--gen-tokens", "1"], /--gen-tokens is "1"/],
  ])("weft %j", async (args, message) => {
    const { status, stdout, stderr } = await run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/--help lists what there is\n$/);
  });
});

describe("help", () => {
  test("lists the commands", async () => {
    const { status, stdout, stderr } = await run("--help");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    for (const name of ["run", "chat", "logits", "info", "bench decode", "simulate"]) {
      expect(stdout).toContain(`weft ${name} `);
    }
  });

  test("lists the options of a command", async () => {
    const { status, stdout } = await run("run", "--help");
    expect(status).toBe(0);
    expect(stdout).toMatch(/--device auto\|gpu\|reference/);
    expect(stdout).toMatch(/--max-tokens N/);
  });
});
