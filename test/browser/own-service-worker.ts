// A service worker that makes an engine of its own, and says what came of it.

import { createEngine } from "weft-llm";

addEventListener("message", async ({ ports: [port] }) => {
  const model = `${location.origin}/shallow`;
  const made = createEngine({ model, device: "reference", store: false });
  port.postMessage(
    await made.then(
      ({ info }) => info.model.id,
      (error) => error.toJSON(),
    ),
  );
});
