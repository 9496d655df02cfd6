/** Figures as a reader wants them. */
export const figure = (value: number | null, digits = 3): string =>
  value === null
    ? "–"
    : Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });

export const errorText = (error: number | null): string => {
  if (error === null) return "–";
  return error === 0 ? "exact" : error.toExponential(1);
};
