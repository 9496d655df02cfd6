/** The page of the hidden window: engines on this renderer's WebGPU, for whoever the main process sends a port. */
import { hostEngines } from "weft-llm";

addEventListener("message", ({ source, data, ports: [port] }) => {
  if (source === window && data === "weft-port" && port) hostEngines(port);
});
