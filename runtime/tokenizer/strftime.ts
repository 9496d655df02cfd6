/**
 * Local time in words, as Python's strftime gives it in the C locale, whatever language the user's machine
 * speaks: what the model reads must be what it was trained on. Other directives stay as they are.
 */
export const strftime = (format: string, date: Date): string =>
  format.replace(/%(.)/g, (directive, letter: string) => directives[letter]?.(date) ?? directive);

const directives: Readonly<Record<string, (date: Date) => string>> = {
  "%": () => "%",
  a: (date) => WEEKDAYS[date.getDay()].slice(0, 3),
  A: (date) => WEEKDAYS[date.getDay()],
  b: (date) => MONTHS[date.getMonth()].slice(0, 3),
  B: (date) => MONTHS[date.getMonth()],
  d: (date) => twoDigits(date.getDate()),
  H: (date) => twoDigits(date.getHours()),
  I: (date) => twoDigits(date.getHours() % 12 || 12),
  m: (date) => twoDigits(date.getMonth() + 1),
  M: (date) => twoDigits(date.getMinutes()),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  S: (date) => twoDigits(date.getSeconds()),
  y: (date) => twoDigits(date.getFullYear() % 100),
  Y: (date) => `${date.getFullYear()}`,
};

const WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );

const twoDigits = (value: number): string => `${value}`.padStart(2, "0");
