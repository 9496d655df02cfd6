// Serves the built example to Chromium by its own handler of `app:`, over http, since only Electron has schemes
// of an app's own.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { appFiles } from "../../apps/electron/app-files.ts";

export interface AppServer {
  readonly url: string;
  close(): void;
}

export async function serveApp(folders: Readonly<Record<string, string>>): Promise<AppServer> {
  const handle = appFiles(folders);
  const server = createServer(async ({ url, method, headers }, response) => {
    const { range } = headers;
    const asked = new Request(`app://weft${url}`, { method, headers: range ? { range } : {} });
    const answer = await handle(asked);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body) Readable.fromWeb(answer.body as ReadableStream).pipe(response);
    else response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
