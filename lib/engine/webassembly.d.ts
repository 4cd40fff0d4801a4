/** The part of WebAssembly's JavaScript interface that the engine's host side uses; TypeScript has it only together with the whole DOM. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class CompileError extends Error {}
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean })
    readonly buffer: SharedArrayBuffer
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>)
    readonly exports: Record<string, unknown>
  }
}
