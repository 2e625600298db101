/** The line that `snippet_main.ts` prints when a snippet's module has come to its end. */
export const ended = "--- the module has come to its end ---";
