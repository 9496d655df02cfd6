// What `npm run docs:api` has to say: everything that the doors export and that runs has a doc comment.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../", import.meta.url));
type Documented = ReadonlyMap<string, boolean>;
const known = new Map<string, Documented>();

/** Values that a module exports, by name, and whether a doc comment stands where they are written. */
function exportsOf(path: string): Documented {
  const before = known.get(path);
  if (before) return before;
  const found = new Map<string, boolean>();
  known.set(path, found);
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      const { exportClause, isTypeOnly, moduleSpecifier } = statement;
      if (isTypeOnly || !moduleSpecifier || !ts.isStringLiteral(moduleSpecifier)) continue;
      const others = exportsOf(resolve(dirname(path), moduleSpecifier.text));
      if (!exportClause) for (const [name, has] of others) found.set(name, has);
      else if (ts.isNamedExports(exportClause)) {
        for (const { name, propertyName, isTypeOnly } of exportClause.elements) {
          const has = others.get((propertyName ?? name).text);
          if (!isTypeOnly && has !== undefined) found.set(name.text, has);
        }
      }
      continue;
    }
    const isExported =
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    if (!isExported) continue;
    const has = ts.getJSDocCommentsAndTags(statement).length > 0;
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) {
        found.set(name.getText(file), has);
      }
    } else if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
      if (statement.name) found.set(statement.name.text, has);
    }
  }
  return found;
}

const ENGINES = ["createEngine", "connectEngine", "WeftError"];

test.each([
  ["index.ts", ENGINES],
  ["worker.ts", ["createEngine", "connectEngine"]],
  ["node.ts", ENGINES],
  ["server.ts", ["createHandler", "serve"]],
  ["server-in-page.ts", ["createHandler", "serve"]],
  ["ai-sdk.ts", ["weft"]],
  ["prompt-api.ts", ["LocalLanguageModel"]],
])("%s", (door, names) => {
  const values = exportsOf(resolve(root, door));
  expect([...values.keys()]).toEqual(expect.arrayContaining(names));
  expect([...values].filter(([, has]) => !has).map(([name]) => name)).toEqual([]);
});
