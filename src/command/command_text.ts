/** A command line as a report shows it: a shell takes it again, and it has no secrets. */

import { withoutUser } from "../load/target.ts";

const secret = /^(authorization|cookie|proxy-authorization|x-api-key)\s*:/i;

/** The words of a command line, quoted for a shell. Passwords in URLs and values of headers that carry secrets are left out. */
export function commandText(words: readonly string[]): string {
  return words.map((word, index) => quoted(withoutSecret(word, words[index - 1]))).join(" ");
}

function withoutSecret(word: string, before: string | undefined): string {
  const isValue = before === "-H" || before === "--header";
  const flag = isValue ? "" : (/^(?:--header=|-H)/.exec(word)?.[0] ?? undefined);
  if (flag === undefined) return withoutUser(word);
  const header = word.slice(flag.length);
  return secret.test(header) ? `${flag}${header.slice(0, header.indexOf(":"))}: ...` : word;
}

function quoted(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", "'\\''")}'`;
}
