/** The script of the utility process: engines on Dawn, for whoever the main process sends a port. */
import { hostEngines } from "weft-llm/node";

process.parentPort.on("message", ({ data, ports: [port] }) => {
  if (data === "weft-port" && port) hostEngines(port);
});
