/** Whether tests may take minutes to prove more: `bun run soak` sets the variable. */
export const isSoak = process.env.PLAIT_SOAK === "1";
