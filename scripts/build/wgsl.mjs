// Takes comments and indentation out of shader text while the workers' script is built: drivers need
// neither. Lines stay lines, and no other character is touched.

import ts from "typescript";

/** For rolldown. */
export const wgslPlugin = {
  name: "wgsl",
  transform: {
    filter: { id: /\/kernels\/.*\.ts$/ },
    /** @param {string} code @param {string} id */
    handler: (code, id) => (code.includes("wgsl`") ? compactSource(code, id) : null),
  },
};

/** The source with the texts of its wgsl`…` made compact. @param {string} source @param {string} name */
export function compactSource(source, name) {
  const file = ts.createSourceFile(name, source, ts.ScriptTarget.Latest);
  let compact = "";
  let end = 0;
  for (const { from, to } of shaderTexts(file)) {
    compact += source.slice(end, from) + compactWgsl(source.slice(from, to));
    end = to;
  }
  return compact + source.slice(end);
}

/** WGSL has no strings, so `//` and a block comment are comments wherever they stand. @param {string} text */
export const compactWgsl = (text) =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, " ")
    .replace(/\/\/.*/g, "")
    .replace(/[ \t]*\n\s*/g, "\n");

/**
 * Between backquotes and expressions, in order.
 * @param {ts.SourceFile} file @returns {{ from: number, to: number }[]}
 */
function shaderTexts(file) {
  /** @type {{ from: number, to: number }[]} */
  const texts = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isTaggedTemplateExpression(node) && node.tag.getText(file) === "wgsl") {
      const { template } = node;
      const parts = ts.isTemplateExpression(template)
        ? [template.head, ...template.templateSpans.map(({ literal }) => literal)]
        : [template];
      for (const part of parts) {
        const isLast = ts.isTemplateTail(part) || ts.isNoSubstitutionTemplateLiteral(part);
        const [from, to] = [part.getStart(file) + 1, part.end - (isLast ? 1 : 2)];
        if (!isLast && /\/\/.*$/.test(file.text.slice(from, to))) {
          throw new Error(`${file.fileName}: a comment of WGSL has \${…} in it; write it without`);
        }
        texts.push({ from, to });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return texts.sort((a, b) => a.from - b.from);
}
