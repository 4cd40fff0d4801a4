/**
 * All commands of `continuum`, and how they fail: one plain sentence on stderr and exit code 1. The bodies are in the
 * files beside this one.
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import { VERSION_TEXT } from '../server/version.js'
import { DamagedFile } from '../tier/atomic-file.js'
import { complain, Sentence } from './output.js'

/** A command of the first level. What it needs is loaded only when it is asked for: a start is half as long. */
export interface CommandEntry {
  name: string
  description: string
  /** Gives the command its options, subcommands and action. */
  load(): Promise<(command: Command) => void>
}

const ENTRIES: readonly CommandEntry[] = [
  {
    name: 'server',
    description: 'run one node: alone it is a memcached replacement, with --join it is part of a tier',
    load: async () => (await import('./server.js')).serverCommand,
  },
  {
    name: 'coordinator',
    description: 'serve the embedded topology store of a tier',
    load: async () => (await import('./coordinator.js')).coordinatorCommand,
  },
  {
    name: 'up',
    description: 'run a whole local tier: coordinator, nodes and a router',
    load: async () => (await import('./up.js')).upCommand,
  },
  {
    name: 'tier',
    description: 'look at a tier, change its ring',
    load: async () => (await import('./tier.js')).tierCommand,
  },
  {
    name: 'ring',
    description: 'who owns which keys, in every dialect of Ketama',
    load: async () => (await import('./ring.js')).ringCommand,
  },
]

/** `more`: commands of rooms that this one may not know. */
export async function run(argv: string[], more: readonly CommandEntry[]): Promise<void> {
  const program = await createProgram([...ENTRIES, ...more], argv.slice(2))
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

async function createProgram(entries: readonly CommandEntry[], words: readonly string[]): Promise<Command> {
  const program = new Command('continuum').enablePositionalOptions()
  program
    .description('a memcached-protocol cache tier that keeps its keys when it changes shape')
    .version(`continuum ${packageVersion()}`, '-V, --version')
  // `help server` asks for a command's own options too.
  const wanted = words.find(word => !word.startsWith('-') && word !== 'help')
  for (const { name, description, load } of entries) {
    const command = program.command(name).description(description)
    if (name === 'server') command.version(serverVersion(), '-V, --version')
    if (name === wanted) (await load())(command)
  }
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
