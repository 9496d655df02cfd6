/** What went to a cluster and why, for Prometheus. The names are docs/metrics.md's. */
import type { OverflowMetrics } from "../../worker.ts";
import type { Exposition } from "./exposition.ts";

export function writeOverflowMetrics(to: Exposition, overflow: OverflowMetrics): void {
  const { local, cluster, reasons, clusterState } = overflow;
  const counter = (name: string, help: string, value: number) =>
    to.family("counter", `weft_overflow_${name}_total`, help, [[{}, value]]);
  const gauge = (name: string, help: string, value: number) =>
    to.family("gauge", `weft_overflow_cluster_${name}`, help, [[{}, value]]);
  to.family("counter", "weft_overflow_requests_total", "Requests, by where they were first sent.", [
    [{ place: "local" }, local],
    [{ place: "cluster" }, cluster],
  ]);
  to.family(
    "counter",
    "weft_overflow_reasons_total",
    "Requests that went to the cluster, first or later, by reason.",
    Object.entries(reasons).map(([reason, value]) => [{ reason }, value] as const),
  );
  to.family(
    "counter",
    "weft_overflow_moved_total",
    "Requests that failed before anything was said and were asked again at the other place.",
    [
      [{ to: "local" }, overflow.movedToLocal],
      [{ to: "cluster" }, overflow.movedToCluster],
    ],
  );
  counter(
    "continued",
    "Answers that broke off and went on at the other place.",
    overflow.continued,
  );
  counter("broken", "Answers that broke off for good.", overflow.broken);
  counter("kept", "Requests kept here as the cluster does not answer.", overflow.kept);
  const isUp = clusterState.state === "closed";
  gauge("up", "1 while the cluster is asked, 0 while it is left alone.", Number(isUp));
  gauge("failures", "Its failures since it last answered.", clusterState.failures);
  gauge("wait_seconds", "Until it is asked again.", clusterState.waitMs / 1000);
  const { firstChunkMs } = clusterState;
  if (firstChunkMs === undefined) return;
  gauge("first_chunk_seconds", "To the first chunk of its answers.", firstChunkMs / 1000);
}
