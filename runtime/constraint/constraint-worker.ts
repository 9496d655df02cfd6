/** The script of the worker that knows what constrained answers may say, in browsers. */
import { type DomEndpoint, domPort } from "../remote/port.ts";
import { serveConstraints } from "./serve-constraints.ts";

serveConstraints(domPort(globalThis as unknown as DomEndpoint));
