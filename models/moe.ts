/**
 * A mixture of experts in place of an MLP, as plain data: who chooses, how large experts are, what
 * their tensors are called. moe-block.ts turns it into kernel calls.
 */
import type { Activation } from "../kernels/activation.ts";
import { requireChunkedColumns } from "../kernels/matmul-kernel.ts";
import { MAX_CHOSEN, MAX_EXPERTS, type RouterSpec } from "../kernels/router.ts";
import { ModelError } from "./errors.ts";

export interface MoeSpec {
  readonly router: RouterSpec;
  /** F of one expert. */
  readonly ffnSize: number;
  readonly activation: Activation;
  /** An MLP for every token, beside the chosen experts; `gated` by the sigmoid of a logit of its own. */
  readonly shared?: { readonly ffnSize: number; readonly gated: boolean };
  readonly names: MoeNames;
}

/** Tensors under `model.layers.i.`; names of matrices without `.weight`. */
export interface MoeNames {
  /** `[E,D]`. */
  readonly router: string;
  /** Of expert e: `[F,D]`, `[F,D]` and `[D,F]`; absent where no checkpoint has experts one by one. */
  readonly expert?: (e: number) => Readonly<Record<"gate" | "up" | "down", string>>;
  /** All experts in one tensor, with its whole name: `[E,2·F,D]`, gates first, and `[E,D,F]`. */
  readonly stacked: { readonly gateUp: string; readonly down: string };
  /** Where routers and experts add biases, those of all experts: `[E,2·F]` and `[E,D]`. */
  readonly biases?: { readonly gateUp: string; readonly down: string };
  /** Whether stacked gates and values alternate, gates first. */
  readonly alternate?: boolean;
  /** An MLP, its gates and values in two matrices or in one; `[1,D]` for its own gate. */
  readonly shared?: {
    readonly gateUp: readonly string[];
    readonly down: string;
    readonly gate?: string;
  };
  /** `[E]`, with its whole name. */
  readonly choiceBias?: string;
}

/** The best by softmax, of all or, renormalised, of the chosen: the router of most families. */
export const softmaxRouter = (
  experts: number,
  chosen: number,
  { renormalised }: { renormalised: boolean },
): RouterSpec => ({
  ...{ experts, chosen, score: "softmax", choiceBias: false, scale: 1 },
  ...(renormalised && { renormaliseEps: 0 }),
});

/** Experts that have matrices. */
export const numMatrices = ({ experts, identityFrom = experts }: RouterSpec): number =>
  identityFrom;

/** Columns of the router's logits. */
export const routerColumns = ({ router, shared }: MoeSpec): number =>
  router.experts + (shared?.gated ? 1 : 0);

/** @throws {ModelError} `bad_config`; {KernelError} `bad_shape`. */
export function checkMoe({ router, ffnSize, shared }: MoeSpec): void {
  requireChunkedColumns("intermediate size of an expert", ffnSize);
  if (shared) requireChunkedColumns("intermediate size of the shared expert", shared.ffnSize);
  const { experts: E, chosen: k, groups = { count: 1, kept: 1 } } = router;
  const { count, kept } = groups;
  const rules: readonly (readonly [holds: boolean, rule: string])[] = [
    [k <= E, "no more experts chosen than there are"],
    [E <= MAX_EXPERTS && k <= MAX_CHOSEN, `at most ${MAX_CHOSEN} of ${MAX_EXPERTS} experts`],
    [E % count === 0 && count <= MAX_CHOSEN, `at most ${MAX_CHOSEN} groups of equal size`],
    [kept <= count && (kept * E) / count >= k, "groups that hold the chosen experts"],
  ];
  const broken = rules.find(([holds]) => !holds);
  if (!broken) return;
  const inGroups = count > 1 ? ` in ${count} groups, ${kept} of them kept` : "";
  throw new ModelError(
    "bad_config",
    `config.json has ${E} experts${inGroups}, ${k} for each token; Weft needs ${broken[1]}: take ` +
      "config.json from the model's publisher",
  );
}
