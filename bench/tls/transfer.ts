// What the servers of bulk transfers agree on with the load client (load.c).

/** Two 32-bit numbers, the least significant byte first: bytes that follow, and bytes wanted. */
export const REQUEST_BYTES = 8;

/** How much is read and written at once. */
export const TRANSFER_BYTES = 64 * 1024;

export const pattern = new Uint8Array(TRANSFER_BYTES).map((_, index) => index * 31);
