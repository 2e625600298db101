// What passes through the proxies.

export interface Flow {
  readonly name: string;
  /** Whether each unit is answered by as many bytes before the next one is sent. */
  readonly isAnswered: boolean;
  readonly unitBytes: number;
  readonly units: number;
}

export const flows: readonly Flow[] = [
  { name: "1 KiB, there and back", isAnswered: true, unitBytes: 1024, units: 10_000 },
  { name: "64 KiB writes", isAnswered: false, unitBytes: 65_536, units: 5_000 },
  { name: "1 MiB writes", isAnswered: false, unitBytes: 1 << 20, units: 320 },
];
