/** One file of a hint log, as the process knows it. */
export interface Segment extends SegmentRange {
  /** In this process; what the index knows it by. */
  id: number
  name: string
  firstSequence: number
  /** Behind its last record, those in the queue too. */
  nextSequence: number
  /** With what waits in the queue. */
  bytes: number
  /** On the disk. */
  written: number
  /** Bytes of records that are the newest of their key. */
  live: number
  /** Wall clock when its first record was written. */
  oldestMs: number
  /** The file is there and the manifest names it. */
  made: boolean
  /** Records are never appended to it again. */
  closed: boolean
}

/** Which segments a file stands for, and which compaction wrote it. */
export interface SegmentRange {
  first: number
  last: number
  rewrite: number
}

export function segmentName(home: number, { first, last, rewrite }: SegmentRange): string {
  return `home-${home}-${first}-${last}${rewrite ? `.${rewrite}` : ''}.segment`
}

const NAME = /^home-(\d{1,5})-(\d{1,10})-(\d{1,10})(?:\.(\d{1,10}))?\.segment$/

export function parseSegmentName(name: string): (SegmentRange & { home: number }) | null {
  const parts = NAME.exec(name)
  if (!parts) return null
  const [home, first, last, rewrite] = parts.slice(1).map(part => Number(part ?? 0)) as [number, number, number, number]
  return { home, first, last, rewrite }
}
