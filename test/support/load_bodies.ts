/** A scenario that checks every body. Its requests follow from the numbers of the iterations. */

import type { Answer, Context } from "../../src/load/load.ts";

/** The file that the server must have. */
export const servedText = Array.from({ length: 300 }, (_, line) => `line ${line}\n`).join("");

export default async function scenario(c: Context): Promise<void> {
  const { iteration } = c;
  const path = `/file?${iteration}`;
  if (iteration % 10 === 3) {
    const answer = await c.step("missing", () => c.http.get(`/missing?${iteration}`));
    c.check(answer.status === 404 && answer.text().includes("404 Not Found"), "missing");
  } else if (iteration % 10 === 5) {
    const answer = await c.http.head(path);
    c.check(isFile(answer) && answer.text() === "", "head");
  } else if (iteration % 10 === 7) {
    const answer = await c.http.post("/created", { body: "a text" });
    c.check(answer.status === 201 && answer.text() === "made\n", "created");
  } else {
    const answer = await c.step("file", () => c.http.get(path));
    c.check(isFile(answer) && answer.text() === servedText, "whole");
  }
}

function isFile(answer: Answer): boolean {
  return answer.status === 200 && answer.header("content-length") === `${servedText.length}`;
}
