// HTTP as those write it who wish a server ill: bytes on a socket, whole, in pieces or never.

import { connect, type Socket } from "node:net";
import type { Server } from "../../server.ts";

/** Everything that the server says until it, or the time, ends the connection. */
export function spoken(socket: Socket, limitMs = 5000): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => {
      text += "(still open)";
      socket.destroy();
    }, limitMs);
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    // A server that has said all may end a connection whose rest it will not read.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

export function dial({ host, port }: Server): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** @returns What the server answers to these bytes, all at once. */
export async function answerTo(server: Server, bytes: string | Uint8Array): Promise<string> {
  const socket = await dial(server);
  const answer = spoken(socket);
  socket.write(bytes);
  return answer;
}

export interface RawRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Leaves the connection open for the next. */
  readonly keepAlive?: boolean;
}

export function rawRequest(server: Server, request: RawRequest = {}): string {
  const { method = "POST", path = "/v1/chat/completions", body = "", keepAlive } = request;
  const headers = {
    host: `127.0.0.1:${server.port}`,
    "content-type": "application/json",
    "content-length": `${new TextEncoder().encode(body).length}`,
    connection: keepAlive ? "keep-alive" : "close",
    ...request.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n${body}`;
}

/** Status and body of one answer. */
export function parsed(answer: string): { status: number; headers: string; body: string } {
  const end = answer.indexOf("\r\n\r\n");
  const headers = answer.slice(0, end).toLowerCase();
  return { status: Number(answer.split(" ")[1]), headers, body: answer.slice(end + 4) };
}

/** What OpenAI's clients read of a refusal. */
export function refusal(answer: string): { status: number; code: string } {
  const { status, body } = parsed(answer);
  return { status, code: JSON.parse(body).error.code };
}
