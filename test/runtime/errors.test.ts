import { expect, test } from "vitest";
import { KernelError } from "../../kernels/errors.ts";
import { throwIfAborted, WeftError } from "../../runtime/errors.ts";
import { SchedulerError } from "../../scheduler/errors.ts";

test("crosses a port as plain data", async () => {
  const error = new WeftError("missing_tensor", "what, actual, required; cure");
  const { port1, port2 } = new MessageChannel();
  const arrived = new Promise((resolve) => {
    port2.onmessage = ({ data }) => resolve(data);
  });
  port1.postMessage(error.toJSON());
  const back = WeftError.fromJSON((await arrived) as ReturnType<WeftError["toJSON"]>);
  port1.close();
  expect(back).toBeInstanceOf(WeftError);
  expect({ ...back.toJSON() }).toEqual({
    name: "WeftError",
    code: "missing_tensor",
    message: "what, actual, required; cure",
  });
});

test("keeps the code and the words of the leaves' errors", () => {
  for (const leaf of [new KernelError("bad_shape", "k"), new SchedulerError("bad_config", "s")]) {
    const error = WeftError.from(leaf);
    expect(error).toMatchObject({ code: leaf.code, message: leaf.message, cause: leaf });
    expect(WeftError.from(error)).toBe(error);
  }
});

test("calls an abort an abort, and anything else our fault", () => {
  expect(WeftError.from(new DOMException("stop", "AbortError")).code).toBe("aborted");
  for (const thrown of [new TypeError("x is not a function"), "text", undefined]) {
    expect(WeftError.from(thrown)).toMatchObject({
      code: "internal",
      message: expect.stringMatching(/this is a fault of Weft, please report it$/),
      cause: thrown,
    });
  }
});

test("an aborted signal throws with its reason", () => {
  throwIfAborted(undefined);
  throwIfAborted(new AbortController().signal);
  const reason = { custom: "reason" };
  expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(
    expect.objectContaining({ code: "aborted", cause: reason }),
  );
});
