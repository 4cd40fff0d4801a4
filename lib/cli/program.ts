/**
 * All commands of `continuum`, and how they fail: one plain sentence on stderr and exit code 1. The bodies are in the
 * files beside this one.
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import { VERSION_TEXT } from '../server/version.js'
import { DamagedFile } from '../tier/atomic-file.js'
import { coordinatorCommand } from './coordinator.js'
import { complain, Sentence } from './output.js'
import { ringCommand } from './ring.js'
import { serverCommand } from './server.js'
import { tierCommand } from './tier.js'
import { upCommand } from './up.js'

/** `attach` lets bin/ add commands of rooms that this one may not know. */
export async function run(argv: string[], attach: (program: Command) => void): Promise<void> {
  const program = createProgram()
  attach(program)
  for (const command of [program, ...allCommands(program)]) quiet(command)
  try {
    await program.parseAsync(argv)
  } catch (error) {
    fail(error)
  }
}

export function packageVersion(): string {
  // dist/lib/cli/program.js, three rooms below the package.
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : '0'
}

/** `memcached 1.6.45` is what scripts look for in the answer to -V. */
function serverVersion(): string {
  return `continuum ${packageVersion()} (speaks as memcached ${VERSION_TEXT})`
}

function createProgram(): Command {
  const program = new Command('continuum').enablePositionalOptions()
  program
    .description('a memcached-protocol cache tier that keeps its keys when it changes shape')
    .version(`continuum ${packageVersion()}`, '-V, --version')
  serverCommand(program.command('server').version(serverVersion(), '-V, --version'))
  coordinatorCommand(program.command('coordinator'))
  upCommand(program.command('up'))
  tierCommand(program.command('tier'))
  ringCommand(program.command('ring'))
  for (const name of ['server', 'coordinator', 'up']) {
    const hidden = new Option('--with-parent', 'end when stdin closes').hideHelp()
    program.commands.find(command => command.name() === name)?.addOption(hidden)
  }
  return program
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap(one => [one, ...allCommands(one)])
}

/** Commander would print its own words; here they become a sentence like any other. */
function quiet(command: Command): void {
  command.exitOverride()
  command.showSuggestionAfterError(false)
  command.configureOutput({ outputError: () => {} })
}

function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return
    process.exitCode = 1
    if (error.code !== 'commander.help') complain(plainWords(error.message))
    return
  }
  if (error instanceof Sentence || error instanceof DamagedFile) {
    complain(error.message)
    // Whatever was started before the sentence must not keep the process.
    process.exit(1)
  }
  throw error
}

/** "error: unknown option '-y'" */
function plainWords(message: string): string {
  const words = message.replace(/^error: /, '').trim()
  return words.startsWith('unknown option') ? `${words} (--help lists what there is)` : words
}
