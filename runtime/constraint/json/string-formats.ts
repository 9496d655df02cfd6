/** Texts of the `format`s of JSON Schema that can be enforced, as regular expressions; a little narrower than the RFCs. */

const DATE = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])";
const CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?";
const ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const HEX4 = "[0-9a-fA-F]{1,4}";
const IPV6 = [
  `(?:${HEX4}:){7}${HEX4}`,
  `::(?:${HEX4}:){0,5}${HEX4}`,
  ...[1, 2, 3, 4, 5].map((n) => `(?:${HEX4}:){${n}}:(?:${HEX4}:){0,${5 - n}}${HEX4}`),
  `(?:${HEX4}:){1,7}:`,
  "::",
].join("|");
const PATH_CHAR = "[A-Za-z0-9._~!$&'()*+,;=:@-]";

export const FORMATS: ReadonlyMap<string, string> = new Map([
  // Days that every month has, or that the month is known to have.
  ["date", `${DATE}|[0-9]{4}-(?:0[13-9]|1[0-2])-(?:29|30)|[0-9]{4}-(?:0[13578]|1[02])-31`],
  ["time", `${CLOCK}${ZONE}`],
  [
    "date-time",
    `(?:${DATE}|[0-9]{4}-(?:0[13-9]|1[0-2])-(?:29|30)|[0-9]{4}-(?:0[13578]|1[02])-31)T${CLOCK}${ZONE}`,
  ],
  [
    "duration",
    "P(?:[0-9]{1,6}W|[0-9]{1,6}D|(?:[0-9]{1,6}D)?T(?:[0-9]{1,6}H|[0-9]{1,6}M|[0-9]{1,6}S))",
  ],
  ["email", `[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@(?:${LABEL}\\.){1,8}[A-Za-z]{2,24}`],
  ["hostname", `${LABEL}(?:\\.${LABEL}){0,3}`],
  ["ipv4", `${OCTET}\\.${OCTET}\\.${OCTET}\\.${OCTET}`],
  ["ipv6", IPV6],
  [
    "uuid",
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}",
  ],
  [
    "uri",
    `https?://${LABEL}(?:\\.${LABEL}){0,5}(?::[1-9][0-9]{0,3})?(?:/${PATH_CHAR}*)*(?:\\?[A-Za-z0-9._~=&-]*)?(?:#[A-Za-z0-9._~-]*)?`,
  ],
]);
