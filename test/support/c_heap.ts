/**
 * The heap of the C library, in which the core and OpenSSL have their memory. Bun has allocators of
 * its own. Linux with glibc only.
 */

import { dlopen, type Pointer, ptr, toBuffer } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  open_memstream: { args: ["ptr", "ptr"], returns: "ptr" },
  malloc_info: { args: ["i32", "ptr"], returns: "i32" },
  fclose: { args: ["ptr"], returns: "i32" },
  free: { args: ["ptr"], returns: "void" },
});

/** Bytes that are allocated and not freed, and those that each thread caches. */
export function heapInUse(): number {
  const text = report();
  // The totals come after those of each arena.
  const totals = text.slice(text.lastIndexOf("</heap>"));
  const size = (element: RegExp): number => Number(element.exec(totals)![1]);
  const free =
    size(/<total type="fast" count="\d+" size="(\d+)"\/>/) +
    size(/<total type="rest" count="\d+" size="(\d+)"\/>/);
  const mapped = size(/<total type="mmap" count="\d+" size="(\d+)"\/>/);
  return size(/<system type="current" size="(\d+)"\/>/) - free + mapped;
}

/** The output of malloc_info(3). */
function report(): string {
  const address = new BigUint64Array(1);
  const length = new BigUint64Array(1);
  const stream = libc.open_memstream(ptr(address), ptr(length));
  if (stream === null) throw new Error("open_memstream failed");
  const result = libc.malloc_info(0, stream);
  libc.fclose(stream);
  const memory = Number(address[0]) as Pointer;
  try {
    if (result !== 0) throw new Error("malloc_info failed");
    return toBuffer(memory, 0, Number(length[0])).toString();
  } finally {
    libc.free(memory);
  }
}
