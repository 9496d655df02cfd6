// The server, case by case: in one file, as what all of them import takes longer than they do.

import "./cases/admission.ts";
import "./cases/errors.ts";
import "./cases/metrics.ts";
import "./cases/openai-client.ts";
