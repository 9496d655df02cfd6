/**
 * Which pages may ask. A browser sends what any page tells it to, from the user's own machine: the Host header
 * tells under which name (DNS rebinding), Origin and Sec-Fetch-Site tell whose page it was. Programs send
 * neither of the latter two.
 */
import { ApiError } from "./api-error.ts";

export class Doorkeeper {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor({ hosts, origins }: { hosts: readonly string[]; origins: readonly string[] }) {
    this.#hosts = new Set(hosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(origins);
  }

  /** @throws {ApiError} 403. */
  check({ headers, url }: Request): void {
    const host = (headers.get("host") ?? new URL(url).host).toLowerCase();
    if (!this.#isKnown(host)) {
      throw refused(
        "host_not_allowed",
        `the server was asked as ${shown(host)}, which is not one of its names; ` +
          "whoever runs it can add the name (--allow-host)",
      );
    }
    const origin = headers.get("origin");
    const site = headers.get("sec-fetch-site") ?? "none";
    const isForeign = origin === null ? isOther(site) : !this.#isOwn(origin, host);
    if (isForeign && !this.allows(origin)) {
      throw refused(
        "origin_not_allowed",
        `pages of ${shown(origin ?? "other sites")} may not ask this server; ` +
          "whoever runs it can allow their origin (--allow-origin)",
      );
    }
  }

  /** What `Access-Control-Allow-Origin` says: of pages of other origins that may read answers. */
  allows(origin: string | null): origin is string {
    return origin !== null && (this.#origins.has("*") || this.#origins.has(origin));
  }

  #isKnown(host: string): boolean {
    const hosts = this.#hosts;
    if (hosts.has(host) || hosts.has(host.replace(/:\d+$/, ""))) return true;
    // Browsers leave out a scheme's own port.
    return !/:\d+$/.test(host) && (hosts.has(`${host}:80`) || hosts.has(`${host}:443`));
  }

  #isOwn(origin: string, host: string): boolean {
    return origin.toLowerCase() === `http://${host}` || origin.toLowerCase() === `https://${host}`;
  }
}

/** A page's link or image, which names no origin. */
const isOther = (site: string): boolean => site === "cross-site" || site === "same-site";

const refused = (code: string, message: string): ApiError => new ApiError(403, message, { code });

const shown = (text: string): string => JSON.stringify(text.slice(0, 80));
