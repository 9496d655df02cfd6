/** The tools that run in this page. They read a clock and set one: nothing leaves the machine. */
import type { ChatTool } from "../../worker.ts";
import type { CalledTool } from "./turn.ts";

interface PageTool {
  readonly tool: ChatTool;
  /** @param later Adds to the call what came of it. @throws Error for what it cannot do. */
  run(given: Readonly<Record<string, unknown>>, later: (text: string) => void): object;
}

const MAX_TIMER_MINUTES = 24 * 60;

const tool = (name: string, description: string, properties: object): ChatTool => ({
  type: "function",
  function: {
    ...{ name, description, strict: true },
    parameters: { type: "object", properties, required: Object.keys(properties) },
  },
});

const PAGE_TOOLS: readonly PageTool[] = [
  {
    tool: tool("get_time", "Get the time in a city.", { city: { type: "string" } }),
    run: ({ city }) => ({ time: timeIn(`${city}`) }),
  },
  {
    tool: tool("set_timer", "Set a timer.", { minutes: { type: "integer" } }),
    run({ minutes }, later) {
      const length = Number(minutes);
      if (!(length > 0 && length <= MAX_TIMER_MINUTES))
        throw new Error(`a timer has 1 to ${MAX_TIMER_MINUTES} minutes`);
      setTimeout(() => later("time is up"), 60_000 * length);
      return { status: "ok" };
    },
  },
];

export const TOOLS: readonly ChatTool[] = PAGE_TOOLS.map((one) => one.tool);
export const TOOL_NAMES = TOOLS.map((one) => one.function.name).join(", ");

/** @returns JSON. What a tool cannot do is told to the model, which may make something of it. */
export function resultOf({ name, arguments: text }: CalledTool, later: (text: string) => void) {
  try {
    const found = PAGE_TOOLS.find((one) => one.tool.function.name === name);
    if (!found) throw new Error(`there is no tool ${name}`);
    return JSON.stringify(found.run(JSON.parse(text), later));
  } catch (error) {
    return JSON.stringify({ error: error instanceof Error ? error.message : `${error}` });
  }
}

/** Cities after which no time zone is named, and which the demo models know. */
const ZONES = new Map([
  ["boston", "America/New_York"],
  ["miami", "America/New_York"],
  ["milan", "Europe/Rome"],
]);

/** @returns E.g. 14:05. */
function timeIn(city: string): string {
  const key = city.trim().toLowerCase().replaceAll(" ", "_");
  const isNamedAfter = (zone: string) => zone.toLowerCase().endsWith(`/${key}`);
  const timeZone = ZONES.get(key) ?? Intl.supportedValuesOf("timeZone").find(isNamedAfter);
  if (timeZone === undefined) throw new Error(`no time zone is named after ${city}`);
  return new Date().toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
}
