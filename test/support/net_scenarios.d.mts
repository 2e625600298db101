/** Each name with its scenario. */
export const scenarios: Readonly<Record<string, (net: object, notes: object) => Promise<void>>>;
