/** The exit codes of `plait load`, which scripts and CI rely on. */

export const exitCodes = {
  /** Every threshold held, or there was none. */
  held: 0,
  /** A threshold was missed. */
  missed: 1,
  /** The command line or a file that it names was wrong. */
  usage: 2,
  /** The target could not be reached. */
  unreachable: 3,
  /** The generator was the bottleneck: the figures are not those of the target. */
  bottleneck: 4,
  /** It was interrupted, such as by Ctrl-C. */
  interrupted: 130,
} as const;
