/**
 * What `model` names where it is not here: a URL of http(s) or of the page's own scheme, or `hf:org/name[@revision]`
 * of a hub. Owns the URLs of its files, and who is sent the token: the hub's own origin, and no message.
 */
import { WeftError } from "../errors.ts";
import { checkFileName } from "./model-folder.ts";

export interface HubOptions {
  /** Of `hf:` models. Default `https://huggingface.co`. */
  readonly baseUrl?: string;
  /** For models that need a login. Sent to the hub's own origin alone. */
  readonly token?: string;
}

export interface RemoteModel {
  /** URL of the folder, or of the file, without a query: its name in messages and in the store. */
  readonly location: string;
  /** A GGUF file, and no folder. */
  readonly isFile: boolean;
  /**
   * @param name Of a file of the folder; of a model that is a file, no matter.
   * @throws {WeftError} `bad_file` for a name that leads out of the folder.
   */
  fileUrl(name: string): string;
  readonly headers: Readonly<Record<string, string>>;
  readonly hub?: HubModel;
}

export interface HubModel {
  /** Answers with a JSON list of the folder's files and, of large ones, their SHA-256. */
  readonly treeUrl: string;
  /** The revision is a commit: its files never change. */
  readonly isCommit: boolean;
}

const DEFAULT_HUB = "https://huggingface.co";

/** @returns undefined for what is neither. @throws {WeftError} `bad_request`. */
export function remoteModel(model: string, hub: HubOptions = {}): RemoteModel | undefined {
  if (/^https?:\/\//i.test(model) || isOwn(model)) {
    if (!URL.canParse(model)) throw badLocation(model, "is no valid URL");
    const base = new URL(model);
    const headers = base.origin === hubUrl(hub).origin ? authorization(hub) : {};
    return remoteAt(base, headers);
  }
  if (!model.startsWith("hf:")) return undefined;
  const match = /^hf:([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(model);
  if (!match) throw badLocation(model, "does not read hf:org/name");
  const [, repository, revision = "main"] = match;
  const root = hubUrl(hub);
  if (!root.pathname.endsWith("/")) root.pathname += "/";
  const tree = `api/models/${repository}/tree/${encodeURIComponent(revision)}`;
  return {
    ...remoteAt(
      new URL(`${repository}/resolve/${encodeURIComponent(revision)}/`, root),
      authorization(hub),
    ),
    hub: { treeUrl: new URL(tree, root).href, isCommit: /^[0-9a-f]{40}$/.test(revision) },
  };
}

/** The base's query is kept. */
export function remoteAt(base: URL, headers: RemoteModel["headers"] = {}): RemoteModel {
  const isFile = /\.gguf$/i.test(base.pathname);
  if (!isFile && !base.pathname.endsWith("/")) base.pathname += "/";
  return {
    // An app's own scheme has no origin as URLs of Node and of some browsers see it.
    location: `${base.protocol}//${base.host}${base.pathname}`,
    isFile,
    headers,
    fileUrl(name) {
      const url = new URL(base);
      if (isFile) return url.href;
      checkFileName(name);
      url.pathname += name.split("/").map(encodeURIComponent).join("/");
      return url.href;
    },
  };
}

/** Apps and extensions have schemes of their own for what comes with them, e.g. `app:`; a page's files are none. */
function isOwn(url: string): boolean {
  const scheme = globalThis.location?.protocol ?? "file:";
  return scheme !== "file:" && url.startsWith(`${scheme}//`);
}

function hubUrl({ baseUrl = DEFAULT_HUB }: HubOptions): URL {
  if (/^https?:\/\//i.test(baseUrl) && URL.canParse(baseUrl)) return new URL(baseUrl);
  throw new WeftError(
    "bad_request",
    `hub.baseUrl is ${JSON.stringify(baseUrl)}, it must be an http(s) URL, e.g. ${DEFAULT_HUB}; change it`,
  );
}

function authorization({ token }: HubOptions): Readonly<Record<string, string>> {
  if (token === undefined) return {};
  // Said here, since fetch would quote the header in its message.
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new WeftError(
      "bad_request",
      "hub.token has characters that no token has (or none); give it without spaces and line ends",
    );
  }
  return { Authorization: `Bearer ${token}` };
}

export function badLocation(model: string, why: string): WeftError {
  return new WeftError(
    "bad_request",
    `model ${JSON.stringify(model)} ${why}; give an http(s) URL, hf:org/name or, in Node, a folder or a .gguf file`,
  );
}
