/** What the compiler and its worker say to each other. Plain data; every request but `close` has one reply. */
import type { WeftErrorData } from "../errors.ts";
import type { ConstraintSpec } from "./constraint.ts";
import type { Answered } from "./live-constraint.ts";
import type { TokenVocabulary } from "./vocabulary.ts";

export type ToWorker =
  /** First of all, and once. */
  | { readonly type: "vocabulary"; readonly vocabulary: TokenVocabulary }
  | {
      readonly type: "open";
      readonly call: number;
      readonly id: number;
      readonly spec: ConstraintSpec;
      /** Tokens said, of a constraint that another worker had. */
      readonly said: readonly number[];
    }
  | {
      readonly type: "advance";
      readonly call: number;
      readonly id: number;
      readonly tokens: readonly number[];
      readonly remaining: number;
      readonly drafts: readonly number[];
    }
  | {
      readonly type: "validate";
      readonly call: number;
      readonly id: number;
      readonly schema: unknown;
      readonly text: string;
    }
  | { readonly type: "close"; readonly id: number };

export type FromWorker =
  | { readonly type: "reply"; readonly call: number; readonly answer?: Answered }
  | { readonly type: "validated"; readonly call: number; readonly problem?: string }
  | { readonly type: "failed"; readonly call: number; readonly error: WeftErrorData };
