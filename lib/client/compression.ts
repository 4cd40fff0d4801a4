/** Compressors: what makes a value's bytes fewer, and the bit of the flags that says so. */
import { promisify } from 'node:util'
import { brotliCompress, brotliDecompress, constants, gunzip, gzip } from 'node:zlib'

export interface Compressor {
  /** One bit of the 32, unused by the serializer. A reader that knows the bit can read it, whatever it writes itself. */
  readonly flag: number
  compress(bytes: Buffer): Promise<Buffer>
  /** Rejects when more than `bytesMax` would come out. */
  decompress(bytes: Buffer, bytesMax: number): Promise<Buffer>
}

export interface CompressionOptions {
  /** How values are written; all known ways are read. Default 'gzip'. */
  with?: 'gzip' | 'brotli' | Compressor
  /** Values of fewer bytes stay as they are; default 4096. Lower saves memory of the servers and costs time here. */
  minBytes?: number
}

const gzipAsync = promisify(gzip)
const gunzipAsync = promisify(gunzip)
const brotliAsync = promisify(brotliCompress)
const unbrotliAsync = promisify(brotliDecompress)

export const gzipCompressor: Compressor = {
  flag: 1 << 8,
  compress: bytes => gzipAsync(bytes, { level: 6 }),
  decompress: (bytes, bytesMax) => gunzipAsync(bytes, { maxOutputLength: bytesMax }),
}

/** Quality 4: about gzip's speed, a little smaller. */
export const brotliCompressor: Compressor = {
  flag: 1 << 9,
  compress: bytes => brotliAsync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  decompress: (bytes, bytesMax) => unbrotliAsync(bytes, { maxOutputLength: bytesMax }),
}
