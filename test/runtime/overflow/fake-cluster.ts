// An OpenAI-compatible server that does what the test tells it to, on the loopback.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ClusterRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Record<string, unknown>;
}

/** One request's answer, in the hands of the test. */
export class ClusterAnswer {
  readonly request: ClusterRequest;
  readonly #response: ServerResponse;
  isAbandoned = false;

  constructor(request: ClusterRequest, response: ServerResponse) {
    this.request = request;
    this.#response = response;
    response.on("close", () => {
      this.isAbandoned = !response.writableFinished;
    });
  }

  /** A chunk with the delta. */
  say(delta: object | string, reason: string | null = null): this {
    const said = typeof delta === "string" ? { content: delta } : delta;
    return this.chunk({ choices: [{ index: 0, delta: said, finish_reason: reason }] });
  }

  chunk(fields: object): this {
    const head = { id: "cluster-1", object: "chat.completion.chunk", created: 7, model: "big" };
    return this.write(`data: ${JSON.stringify({ ...head, ...fields })}\n\n`);
  }

  write(text: string | Uint8Array): this {
    this.begin();
    this.#response.write(text);
    return this;
  }

  begin(type = "text/event-stream"): this {
    if (!this.#response.headersSent) this.#response.writeHead(200, { "content-type": type });
    this.#response.flushHeaders();
    return this;
  }

  end(reason = "stop", usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }): void {
    this.say({}, reason).chunk({ choices: [], usage }).write("data: [DONE]\n\n");
    this.#response.end();
  }

  /** Over, and not said so. */
  leaveOff(): void {
    this.#response.end();
  }

  refuse(status: number, message: string, headers: Record<string, string> = {}): void {
    this.#response.writeHead(status, { "content-type": "application/json", ...headers });
    this.#response.end(JSON.stringify({ error: { message } }));
  }

  /** The connection breaks. */
  die(): void {
    this.#response.destroy();
  }
}

export class FakeCluster {
  readonly answers: ClusterAnswer[] = [];
  /** What it does with each request for an answer. */
  onAnswer: (answer: ClusterAnswer) => void = (answer) => answer.say("from ").say("afar").end();
  owner = "vllm";
  models = ["big"];
  /** Of its list of models, for probes. */
  status = 200;
  numLists = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(request, response);
    });
  }

  static async listen(port = 0): Promise<FakeCluster> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(port, "127.0.0.1", resolve);
    });
    return new FakeCluster(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get baseURL(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  /** Gone: connections break, and new ones are refused. */
  async die(): Promise<void> {
    const closed = new Promise<unknown>((resolve) => {
      this.#server.close(resolve);
    });
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = "", headers } = request;
    if (url === "/v1/models") {
      this.numLists += 1;
      response.writeHead(this.status, { "content-type": "application/json" });
      const data = this.models.map((id) => ({ id, object: "model", owned_by: this.owner }));
      response.end(JSON.stringify({ object: "list", data }));
      return;
    }
    let text = "";
    for await (const piece of request) text += piece;
    const asked = { path: url, headers, body: JSON.parse(text) };
    const answer = new ClusterAnswer(asked, response);
    this.answers.push(answer);
    this.onAnswer(answer);
  }
}
