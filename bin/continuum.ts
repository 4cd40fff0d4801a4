#!/usr/bin/env node
/** The command `continuum`. Thin: lib/cli has the commands, bench/ the experiments. */
import { benchCommand } from '../bench/commands.js'
import { run } from '../lib/cli/program.js'

await run(process.argv, program => program.addCommand(benchCommand()))
