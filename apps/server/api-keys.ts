/**
 * Who asks, by API key. Keys are kept and compared as digests under a secret of this process, all of them each
 * time: how long it takes tells nothing of any key.
 */
import { ApiError } from "./api-error.ts";

export class ApiKeys {
  readonly #secret: Promise<CryptoKey>;
  readonly #digests: Promise<readonly Uint8Array[]>;
  readonly count: number;

  constructor(keys: readonly string[]) {
    this.count = keys.length;
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    this.#secret = crypto.subtle.generateKey(algorithm, false, ["sign"]) as Promise<CryptoKey>;
    this.#digests = Promise.all(keys.map((key) => this.#digest(key)));
  }

  /**
   * @returns Which key it is, from 0 on; undefined where none is needed.
   * @throws {ApiError} 401.
   */
  async check(authorization: string | null): Promise<number | undefined> {
    if (this.count === 0) return undefined;
    const [, given] = /^Bearer +(\S+)$/i.exec(authorization ?? "") ?? [];
    if (given === undefined) {
      throw unauthorized("no API key was given; send it as Authorization: Bearer KEY");
    }
    const [digests, digest] = await Promise.all([this.#digests, this.#digest(given)]);
    let found = -1;
    for (const [index, known] of digests.entries()) {
      let differing = 0;
      for (let i = 0; i < known.length; i++) differing |= known[i] ^ digest[i];
      // -1 where nothing differs, else 0.
      const mask = (differing - 1) >> 31;
      found = (found & ~mask) | (index & mask);
    }
    if (found < 0) throw unauthorized("the API key is wrong; use one that the server was given");
    return found;
  }

  async #digest(key: string): Promise<Uint8Array> {
    const bytes = new TextEncoder().encode(key);
    return new Uint8Array(await crypto.subtle.sign("HMAC", await this.#secret, bytes));
  }
}

const unauthorized = (message: string): ApiError =>
  new ApiError(401, message, {
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });
