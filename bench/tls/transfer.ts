// The protocol between the servers of bulk transfers and the load client (load.c).

/** Two 32-bit numbers, the least significant byte first: bytes that follow, and bytes wanted. */
export const REQUEST_BYTES = 8;

/** Bytes that are read and written at once. */
export const TRANSFER_BYTES = 64 * 1024;

export const pattern = new Uint8Array(TRANSFER_BYTES).map((_, index) => index * 31);
