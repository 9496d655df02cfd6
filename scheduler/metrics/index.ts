/** Figures of served requests, for whoever serves them. Definitions: docs/metrics.md. */
export { type Distribution, distribution, quantile } from "./distribution.ts";
export { clientService, clientShares, jainIndex } from "./fairness.ts";
export { type Goodput, goodput, meets, SERVICE_LEVELS, type ServiceLevel } from "./goodput.ts";
export { e2eMs, gapsMs, mtpotMs, queueMs, tpotMs, ttftMs } from "./latency.ts";
export { type RequestRecord, requestRecord } from "./request-record.ts";
export {
  type RequestFigures,
  type RequestSummary,
  requestFigures,
  summarize,
} from "./summary.ts";
