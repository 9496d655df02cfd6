// The Azure traces of 2023, which are not part of the repository: they lie beside it, in
// ../shared/traces (from Azure/AzurePublicDataset, the conversations packed).

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readTrace, type TraceRequest } from "../../../scheduler/index.ts";

const FILES = {
  conv: "AzureLLMInferenceTrace_conv_2023.csv.gz",
  code: "AzureLLMInferenceTrace_code_2023.csv",
};
export type AzureTrace = keyof typeof FILES;

const FOLDER = join(import.meta.dirname, "..", "..", "..", "..", "shared", "traces");
const absent = Object.values(FILES).filter((name) => !existsSync(join(FOLDER, name)));

/** Why tests on them are skipped, to go behind their names; empty when the files are there. */
export const missing =
  absent.length === 0
    ? ""
    : `: skipped, no ${absent.join(", no ")} in ../shared/traces (from Azure/AzurePublicDataset)`;

/** The first `numRequests` of it. */
export function azureTrace(trace: AzureTrace, numRequests: number): TraceRequest[] {
  const bytes = readFileSync(join(FOLDER, FILES[trace]));
  const text = FILES[trace].endsWith(".gz") ? gunzipSync(bytes) : bytes;
  return readTrace(text.toString()).slice(0, numRequests);
}
