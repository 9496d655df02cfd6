/** All tokens by their bytes, shared beginnings once, and walks of it beside a recogniser. */
import type { Recogniser, State } from "./recogniser.ts";
import { bytesOf, type TokenVocabulary } from "./vocabulary.ts";

export class TokenTrie {
  /** Nodes in preorder. Per node: its byte, its depth from 1, the node after all below it. */
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly after: Uint32Array;
  /** [nodes + 1] tokens that end at node i: tokens[firstToken[i] .. firstToken[i + 1]). */
  readonly firstToken: Uint32Array;
  readonly tokens: Uint32Array;
  readonly maxDepth: number;
  /** Each byte that UTF-8 uses is a token, so no text is out of reach, and none has more tokens than bytes. */
  readonly hasAllBytes: boolean;

  constructor(vocabulary: TokenVocabulary) {
    const { vocabSize, offsets } = vocabulary;
    const ids = [...new Array(vocabSize).keys()].filter((id) => offsets[id + 1] > offsets[id]);
    const bytes = ids.map((id) => bytesOf(vocabulary, id));
    // As texts of a character per byte, which sort by their bytes, and fast.
    const keys = bytes.map((of) => String.fromCharCode(...of));
    const order = [...ids.keys()].sort((a, b) =>
      keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b,
    );
    const size = bytes.reduce((sum, of) => sum + of.length, 0);
    const [byte, depth, after] = [
      new Uint8Array(size),
      new Uint16Array(size),
      new Uint32Array(size),
    ];
    const firstToken = new Uint32Array(size + 1);
    const path: number[] = [];
    let numNodes = 0;
    let last: Uint8Array = new Uint8Array(0);
    const close = (toDepth: number) => {
      while (path.length > toDepth) after[path.pop()!] = numNodes;
    };
    for (const [i, at] of order.entries()) {
      const token = bytes[at];
      const shared = sharedBytes(last, token);
      close(shared);
      for (let d = shared; d < token.length; d++) {
        path.push(numNodes);
        byte[numNodes] = token[d];
        depth[numNodes] = d + 1;
        firstToken[numNodes++] = i;
      }
      firstToken[numNodes] = i + 1;
      last = token;
    }
    close(0);
    this.byte = byte.subarray(0, numNodes);
    this.depth = depth.subarray(0, numNodes);
    this.after = after.subarray(0, numNodes);
    this.firstToken = firstToken.subarray(0, numNodes + 1);
    this.tokens = Uint32Array.from(order, (at) => ids[at]);
    this.maxDepth = this.depth.reduce((max, of) => Math.max(max, of), 0);
    const single = new Set(bytes.filter((of) => of.length === 1).map(([only]) => only));
    this.hasAllBytes = UTF8_BYTES.every((value) => single.has(value));
  }

  /**
   * Calls back for each node below `state` where tokens end.
   * @param step The state after a byte; null: nothing of this way is wanted.
   */
  walk(
    state: State,
    step: (state: State, byte: number) => State | null,
    found: (node: number, state: State) => void,
  ): void {
    const { byte, depth, after, firstToken } = this;
    const numNodes = byte.length;
    const states: State[] = [state];
    for (let node = 0; node < numNodes; ) {
      const level = depth[node];
      const next = step(states[level - 1], byte[node]);
      if (next === null) {
        node = after[node];
        continue;
      }
      states[level] = next;
      if (firstToken[node + 1] > firstToken[node]) found(node, next);
      node++;
    }
  }

  /** The same for all that may follow: this is what masks cost, so known steps are taken here. */
  follow(state: State, recogniser: Recogniser, found: (node: number, state: State) => void): void {
    const { byte, depth, after, firstToken } = this;
    const numNodes = byte.length;
    const states: State[] = [state];
    for (let node = 0; node < numNodes; ) {
      const level = depth[node];
      const from = states[level - 1];
      let next = from.next[byte[node]];
      if (next === undefined) next = recogniser.next(from, byte[node]);
      if (next === null) {
        node = after[node];
        continue;
      }
      states[level] = next;
      if (firstToken[node + 1] !== firstToken[node]) found(node, next);
      node++;
    }
  }

  /** Sets the bits of the tokens that end at a node. */
  mark(node: number, mask: Uint32Array): void {
    for (let i = this.firstToken[node]; i < this.firstToken[node + 1]; i++) {
      mask[this.tokens[i] >> 5] |= 1 << (this.tokens[i] & 31);
    }
  }
}

const UTF8_BYTES = [...new Array(0xf5).keys()].filter((byte) => byte !== 0xc0 && byte !== 0xc1);

function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}
