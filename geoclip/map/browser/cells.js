// Which cells of an answer are drawn at a zoom, and how dark. Mirrors geoclip/map/contents.py, which draws pictures.
import {cellRing} from "./geometry.js"

export const LEAST = 1e-5 // of the colour scale, which is logarithmic
const LEAST_REST = 1e-3 // a cell that holds so much outside its listed finer cells is drawn beneath them
const LEAST_PIXELS = 20 // cells are at least so wide on screen

// The cells of an answer, coarse to fine, with what each holds outside the listed cells one resolution finer.
export function treeOf(listed) {
  const rows = new Map()
  for (const {cell, probability} of listed)
    rows.set(cell, {cell, probability, resolution: h3.getResolution(cell), rest: probability, children: 0})
  for (const row of rows.values()) {
    const parent = row.resolution && rows.get(h3.cellToParent(row.cell, row.resolution - 1))
    if (!parent) continue
    parent.rest -= row.probability
    parent.children += 1
  }
  return [...rows.values()].sort((a, b) => a.resolution - b.resolution)
}

// Twice the mean edge length, kilometres.
export function cellWidthKm(resolution) {
  return 2 * 1281.256 / 7 ** (resolution / 2)
}

export function resolutionFor(metresPerPixel) {
  const ratio = 1000 * cellWidthKm(0) / (LEAST_PIXELS * metresPerPixel)
  return Math.min(Math.max(Math.floor(Math.log(ratio) / Math.log(Math.sqrt(7))), 0), 15)
}

export function finestOf(tree) {
  return tree.length ? tree[tree.length - 1].resolution : 0
}

// Cells of the resolution and, beneath them, coarser ones that hold more than their finer cells do: nothing vanishes.
// Those are shaded by what a cell of the resolution holds in them on average: a shade means the same everywhere.
export function shownAt(tree, resolution) {
  const features = []
  for (const row of tree) {
    const exact = row.resolution === resolution
    if (!exact && (row.resolution > resolution || row.rest < LEAST_REST)) continue
    const free = Math.max(7 - row.children, 1) / 7
    const shade = exact ? row.probability : row.rest / (free * 7 ** (resolution - row.resolution))
    row.ring ??= cellRing(row.cell)
    features.push({
      type: "Feature",
      geometry: {type: "Polygon", coordinates: [row.ring]},
      properties: {
        cell: row.cell,
        resolution: row.resolution,
        probability: row.probability,
        rest: exact ? row.probability : row.rest,
        shade: Math.log10(Math.max(shade, LEAST)),
      },
    })
  }
  return {type: "FeatureCollection", features}
}
