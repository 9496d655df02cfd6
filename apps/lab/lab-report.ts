export const labReport = (_: unknown): string => "";
