/** Addresses of a model as a page writes them: `/models/x`, `./x.gguf`; relative to the page, as links are. */

/** Others stay as they are, and so do all of them where there is no page. */
export function pageUrl<M>(model: M): M | string {
  const base = globalThis.document?.baseURI;
  const isPath = typeof model === "string" && /^\.{0,2}\//.test(model);
  return isPath && base !== undefined ? new URL(model, base).href : model;
}
