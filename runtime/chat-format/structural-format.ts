/** Constraints on whole answers as parts of a structural tag, to stand beside calls. */
import type { ConstraintSpec } from "../constraint/constraint.ts";
import type { StructuralFormat } from "../constraint/structural-tag.ts";

export function structuralFormat(spec: ConstraintSpec): StructuralFormat {
  switch (spec.type) {
    case "json_object":
      return { type: "json_schema", json_schema: { type: "object", additionalProperties: true } };
    case "json_schema":
      return { type: "json_schema", json_schema: spec.schema };
    case "choice":
      return {
        type: "or",
        elements: spec.choices.map((value) => ({ type: "const_string", value })),
      };
    case "structural_tag":
      return spec.format;
    default:
      return spec;
  }
}
