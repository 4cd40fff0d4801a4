#!/usr/bin/env node
/** The command `continuum`. Thin: lib/cli has the commands, bench/ the experiments. */
import { run } from '../lib/cli/program.js'

await run(process.argv, [
  {
    name: 'bench',
    description: 'experiments and measurements, see bench/README.md',
    load: async () => (await import('../bench/commands.js')).benchCommand,
  },
])
