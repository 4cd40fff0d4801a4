/** Where a comparison is kept: all numbers as JSON and a chart, named by when it was made. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CompareReport } from './compare.js'
import { compareChart } from './compare-chart.js'

/** The paths written. */
export function writeResults(report: CompareReport, directory: string): string[] {
  mkdirSync(directory, { recursive: true })
  const stem = `compare-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`
  const numbers = join(directory, `${stem}.json`)
  const chart = join(directory, `${stem}.svg`)
  writeFileSync(numbers, `${JSON.stringify(report, null, 1)}\n`)
  writeFileSync(chart, compareChart(report))
  return [numbers, chart]
}
