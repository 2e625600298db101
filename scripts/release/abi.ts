/** What a library must have of the boundary between TypeScript and the core. */

import { abiNumber, symbols } from "../../src/core/abi.ts";

export interface Abi {
  readonly number: number;
  readonly exports: readonly string[];
}

/** An exported constant with the ABI number, which can be read in a library of another machine. */
export const abiSymbol = "plait_abiNumber";

export const abi: Abi = { number: abiNumber, exports: [...Object.keys(symbols), abiSymbol] };
