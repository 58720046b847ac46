// The map beneath answers, which needs no network: coast lines, borders, names of countries and towns.

export const COLOURS = {
  light: {
    sea: "#dbe6ec", land: "#f7f6f1", coast: "#6b828f", border: "#98889f", text: "#39424a", halo: "#fbfbf8", point: "#c4320a", halo2: "#ffffff",
    gps: "#1f4e99", drawn: "#7a1fa2", cell: "rgba(40, 40, 40, 0.35)",
    shades: ["#fde72559", "#7ad15173", "#22a88491", "#2a788eb0", "#414487c4", "#440154d9"],
  },
  dark: {
    sea: "#10171c", land: "#222b31", coast: "#6f8794", border: "#8d8096", text: "#d6dde2", halo: "#151c21", point: "#ff8a5c", halo2: "#10171c",
    gps: "#8ab8ff", drawn: "#d99bff", cell: "rgba(230, 230, 230, 0.25)",
    shades: ["#44015473", "#4144878c", "#2a788ea6", "#22a884bf", "#7ad151d1", "#fde725e0"],
  },
}
// From the least probable cell to the most: viridis, which is even in greyscale and for colour-blind eyes too.

const FONT = ["system-ui, 'Noto Sans', sans-serif"]
const TILES = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
const CREDIT = "Natural Earth · GeoNames (CC BY 4.0)"
const ONLINE_CREDIT = '© <a href="https://www.openstreetmap.org/copyright" target="_blank">OpenStreetMap contributors</a>'
const MOST_TOWNS_EARLY = 1500 // are shown before the map is near
const NEAR_ZOOM = 6

// A file packed by gzip, as JSON.
export async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
  return new Response(stream).json()
}

export function baseSources({land, borders, countries}) {
  const lines = list => list.map(steps => degrees(steps, 1000))
  const rings = land.map(polygon => lines(polygon))
  return {
    land: geojson(rings.map(polygon => feature("Polygon", polygon))),
    coast: geojson([feature("MultiLineString", rings.flat().flatMap(withoutEdges))]),
    borders: geojson([feature("MultiLineString", lines(borders))]),
    countries: geojson(countries.map(([, name, lng, lat, area]) => feature("Point", [lng, lat], {name, area}))),
    towns: geojson([]),
    moreTowns: geojson([]),
  }
}

// Names, largest town first: the first are shown at any zoom, all when the map is near.
export function townFeatures({names, places, people}) {
  const points = degrees(places, 1000)
  const towns = names.map((name, i) => feature("Point", points[i], {name, people: people[i]}))
  return [towns.slice(0, MOST_TOWNS_EARLY), towns.slice(MOST_TOWNS_EARLY)].map(features => ({type: "FeatureCollection", features}))
}

// `scale` enlarges the names, for very large windows.
export function baseLayers(colours, scale = 1) {
  const text = {"text-color": colours.text, "text-halo-color": colours.halo, "text-halo-width": 1.4}
  const town = {
    "text-field": ["get", "name"],
    "text-font": FONT,
    "text-size": ["interpolate", ["linear"], ["get", "people"], 3, 10 * scale, 4.5, 11.5 * scale, 6, 13 * scale, 7, 14.5 * scale], // by its logarithm
    "symbol-sort-key": ["-", 0, ["get", "people"]],
    "text-padding": 4,
    "text-max-width": 8,
    "text-offset": [0, -0.7],
  }
  return {
    beneath: [
      {id: "sea", type: "background", paint: {"background-color": colours.sea}},
      {id: "land", type: "fill", source: "land", paint: {"fill-color": colours.land, "fill-antialias": false}},
    ],
    above: [
      {id: "borders", type: "line", source: "borders", paint: {"line-color": colours.border, "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.6, 8, 1.6]}},
      {id: "coast", type: "line", source: "coast", paint: {"line-color": colours.coast, "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.4, 8, 1.2]}},
    ],
    names: [
      {
        id: "more-town-dots", type: "circle", source: "moreTowns", minzoom: NEAR_ZOOM + 2,
        paint: {"circle-radius": 1.5, "circle-color": colours.text},
      },
      {id: "more-towns", type: "symbol", source: "moreTowns", minzoom: NEAR_ZOOM, layout: town, paint: text},
      {
        id: "town-dots", type: "circle", source: "towns", minzoom: 4,
        paint: {"circle-radius": 2, "circle-color": colours.text},
      },
      {id: "towns", type: "symbol", source: "towns", minzoom: 3.2, layout: town, paint: text},
      {
        id: "countries", type: "symbol", source: "countries", maxzoom: 7.5,
        filter: [">", ["get", "area"], ["step", ["zoom"], 60, 1.5, 25, 2.5, 6, 3.5, 1, 4.5, 0]],
        layout: {
          "text-field": ["get", "name"], "text-font": FONT, "text-size": ["interpolate", ["linear"], ["zoom"], 1, 11 * scale, 5, 15 * scale],
          "symbol-sort-key": ["-", 0, ["get", "area"]], "text-max-width": 7, "text-letter-spacing": 0.06, "text-padding": 6,
        },
        paint: {...text, "text-opacity": 0.85},
      },
    ],
  }
}

// Online tiles, which are asked for only when the reader wants them.
export const tileSource = () => ({type: "raster", tiles: [TILES], tileSize: 256, maxzoom: 19, attribution: ONLINE_CREDIT})
export const tileLayer = {id: "tiles", type: "raster", source: "tiles"}
export const credit = CREDIT

export function feature(type, coordinates, properties = {}) {
  return {type: "Feature", geometry: {type, coordinates}, properties}
}

export function geojson(features) {
  return {type: "geojson", data: {type: "FeatureCollection", features}}
}

// Points from whole numbers: longitude and latitude in turns, each pair less the pair before it.
function degrees(steps, perDegree) {
  const points = []
  for (let i = 0, lng = 0, lat = 0; i < steps.length; i += 2) points.push([(lng += steps[i]) / perDegree, (lat += steps[i + 1]) / perDegree])
  return points
}

// The edge of the map, where some countries are cut in two, and the pole are not a coast.
function withoutEdges(ring) {
  const atEdge = ([lng, lat]) => Math.abs(lng) % 360 === 180 || lat < -89
  const lines = [[ring[0]]]
  for (let i = 1; i < ring.length; i++) {
    if (atEdge(ring[i]) && atEdge(ring[i - 1])) lines.push([])
    lines[lines.length - 1].push(ring[i])
  }
  return lines.filter(line => line.length > 1)
}
