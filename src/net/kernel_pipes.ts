/**
 * The pipes within the kernel through which relays move data from one plain socket to another (splice(2)). A relay
 * takes one for a portion, and gives it back when the portion was sent. So one is enough for all relays whose
 * targets keep up. It is kept while there are relays: to make one takes as long as to move a portion.
 */

import { core } from "../core/native.ts";
import { onRetired } from "../runtime/scheduler.ts";

const none = -1;

/** A pipe that is empty and not in use. */
let spare: number = none;
let relays = 0;
let isRetired = false;

onRetired(() => {
  isRetired = true;
  spare = none;
});

/** An empty pipe, which the caller gives back or closes; negative if none can be had. */
export function takeKernelPipe(): number {
  const kernelPipe = spare;
  if (kernelPipe === none) return core.openKernelPipe();
  spare = none;
  return kernelPipe;
}

/** Takes an empty pipe back. */
export function giveBackKernelPipe(kernelPipe: number): void {
  if (spare === none && relays > 0) spare = kernelPipe;
  else closeKernelPipe(kernelPipe);
}

/** Closes a pipe. What it still holds is lost. */
export function closeKernelPipe(kernelPipe: number): void {
  // In the scheduler that has replaced this one, the number belongs to another pipe.
  if (!isRetired) core.closeKernelPipe(kernelPipe);
}

/** Counts the relays that have begun and not ended. */
export function countRelays(change: 1 | -1): void {
  relays += change;
  if (relays > 0 || spare === none) return;
  closeKernelPipe(spare);
  spare = none;
}
