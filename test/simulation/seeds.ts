/** How many seeds a simulation runs: `SEEDS=100000` for a long night, all of the usual ones in CI, a quarter of them otherwise. */
export function seedsOf(usual: number): number {
  if (process.env.SEEDS) return Number(process.env.SEEDS)
  return process.env.CI ? usual : Math.ceil(usual / 4)
}
