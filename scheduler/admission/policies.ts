/** The policies of admission by name, one a file. */
import type { Random } from "../random.ts";
import { conservative } from "./conservative.ts";
import { optimistic } from "./optimistic.ts";
import { oracle } from "./oracle.ts";
import { pastFuture } from "./past-future.ts";
import type { AdmissionPolicy } from "./policy.ts";

export type AdmissionName = "past-future" | "conservative" | "optimistic" | "oracle";

export const admissionPolicies: Record<AdmissionName, (random: Random) => AdmissionPolicy> = {
  "past-future": pastFuture,
  conservative,
  optimistic,
  oracle,
};
