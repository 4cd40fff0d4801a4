/**
 * A ring as a picture (SVG): each server's arcs in its colour, position 0 at the top, clockwise; a legend with the shares.
 * Of two rings: the old one inside, the new one outside, and between them what changes owner. Pure.
 */
import { type Ring, serverText } from '../ketama/index.js'

/** More arcs than this are drawn as so many equal slices, each in the colour of its middle. */
const SLICES_MAX = 3600
const CIRCLE = 2 ** 32
const [SIZE, CENTRE] = [640, 320]
const LEGEND_ROWS_MAX = 40

export function ringPicture(ring: Ring): string {
  const rows = ring.spread().map(({ server, share }) => ({ text: serverText(server), share }))
  const band = bandOf(ring, index => colour(index, ring.servers.length), 190, 290)
  return page(`${ring.dialect}, ${ring.servers.length} servers`, [band], rows)
}

export function changePicture(before: Ring, after: Ring): string {
  const texts = [...new Set([...before.servers, ...after.servers].map(serverText))]
  const colours = new Map(texts.map((text, index) => [text, colour(index, texts.length)]))
  const of = (ring: Ring) => (index: number) => colours.get(serverText(ring.servers[index]!))!
  const arcs = before.diff(after)
  const step = arcs.length > SLICES_MAX ? arcs.length / SLICES_MAX : 1
  const moved: string[] = []
  for (let i = 0; i < arcs.length; i += step) {
    const { from, to } = arcs[Math.floor(i)]!
    moved.push(sector(from, to, 215, 240))
  }
  const shares = new Map(after.spread().map(({ server, share }) => [serverText(server), share]))
  const rows = texts.map(text => ({ text, share: shares.get(text) ?? 0 }))
  const bands = [
    bandOf(before, of(before), 140, 210),
    `<path fill="#222" d="${moved.join('')}"/>`,
    bandOf(after, of(after), 245, 300),
  ]
  const share = arcs.reduce((sum, arc) => sum + arc.share, 0)
  return page(`${percent(share)} of the keys change owner (dark)`, bands, rows)
}

/** One path a server: a thousand arcs of one colour are one element. */
function bandOf(ring: Ring, colourOf: (server: number) => string, inner: number, outer: number): string {
  const paths = new Map<number, string[]>()
  for (const { from, to, owner } of merged(ring)) {
    const parts = paths.get(owner) ?? []
    if (parts.length === 0) paths.set(owner, parts)
    parts.push(sector(from, to, inner, outer))
  }
  return [...paths]
    .map(([owner, parts]) => {
      const title = escaped(serverText(ring.servers[owner]!))
      return `<path fill="${colourOf(owner)}" d="${parts.join('')}"><title>${title}</title></path>`
    })
    .join('\n')
}

interface Piece {
  from: number
  to: number
  owner: number
}

function merged(ring: Ring): Piece[] {
  const { values, owners } = ring.points()
  const pieces: Piece[] = []
  const add = (from: number, to: number, owner: number) => {
    const last = pieces.at(-1)
    if (last?.owner === owner) last.to = to
    else pieces.push({ from, to, owner })
  }
  if (values.length > SLICES_MAX) {
    const width = CIRCLE / SLICES_MAX
    for (let slice = 0; slice < SLICES_MAX; slice++) {
      const middle = Math.floor((slice + 0.5) * width)
      add(slice * width, (slice + 1) * width, ring.indexAt(middle))
    }
    return pieces
  }
  let from = 0
  for (let i = 0; i < values.length; i++) {
    add(from, values[i]!, owners[i]!)
    from = values[i]!
  }
  add(from, CIRCLE, owners[0]!)
  return pieces
}

/** The stretch of a band from one position to another, clockwise; from >= to wraps. */
function sector(from: number, to: number, inner: number, outer: number): string {
  const length = from < to ? to - from : to - from + CIRCLE
  if (length > CIRCLE / 2) {
    const middle = (from + CIRCLE / 2) % CIRCLE
    return sector(from, middle, inner, outer) + sector(middle, to, inner, outer)
  }
  const at = (position: number, radius: number) => {
    const angle = (position / CIRCLE) * 2 * Math.PI
    return `${(CENTRE + radius * Math.sin(angle)).toFixed(2)} ${(CENTRE - radius * Math.cos(angle)).toFixed(2)}`
  }
  const out = `M${at(from, outer)}A${outer} ${outer} 0 0 1 ${at(to, outer)}`
  return `${out}L${at(to, inner)}A${inner} ${inner} 0 0 0 ${at(from, inner)}Z`
}

function page(title: string, bands: string[], rows: { text: string; share: number }[]): string {
  const shown = rows.slice(0, LEGEND_ROWS_MAX)
  const legend = shown.map(({ text, share }, index) => {
    const y = 30 + index * 15
    const box = `<rect x="${SIZE + 10}" y="${y - 9}" width="10" height="10" fill="${colour(index, rows.length)}"/>`
    return `${box}<text x="${SIZE + 26}" y="${y}">${escaped(text)} ${percent(share)}</text>`
  })
  if (rows.length > shown.length) {
    legend.push(`<text x="${SIZE + 26}" y="${30 + shown.length * 15}">and ${rows.length - shown.length} more</text>`)
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE + 280} ${SIZE}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...bands,
    `<text x="${CENTRE}" y="${CENTRE}" text-anchor="middle">${escaped(title)}</text>`,
    ...legend,
    '</svg>',
    '',
  ].join('\n')
}

/** Neighbours in the list get colours far apart. */
function colour(index: number, of: number): string {
  const hue = of <= 12 ? (index * 360) / Math.max(of, 1) : (index * 137.508) % 360
  return `hsl(${Math.round(hue)} 65% ${index % 2 === 0 ? 50 : 65}%)`
}

const percent = (part: number): string => `${(part * 100).toFixed(2)}%`
const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, sign => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!)
