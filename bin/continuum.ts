#!/usr/bin/env node
/** The command `continuum`. Thin: lib/cli has the commands. */
import { run } from '../lib/cli/program.js'

await run(process.argv, () => {})
