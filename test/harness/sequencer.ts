// In which order test files run.

import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The projects that have a GPU first: their few files take up to a minute each. Then the reference project, whose
 * smallest files end in no time, so that the workers end together.
 */
export class ReferenceLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLast = ({ project }: TestSpecification) => Number(project.name === "reference");
    return sorted.sort((a, b) => isLast(a) - isLast(b));
  }
}
