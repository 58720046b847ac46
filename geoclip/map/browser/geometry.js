// Circles and outlines of H3 cells as [longitude, latitude] degrees. Longitudes go on beyond 180, so that no line jumps
// across the map; the map draws what lies outside once more on the other side.

const EARTH_KM = 6371.0088
const RADIANS = Math.PI / 180
const STEP_DEG = 1 // between points: edges are straight on a map, but great circles on the globe

export function distanceKm(a, b) {
  const h = Math.sin((b.lat - a.lat) * RADIANS / 2) ** 2
    + Math.cos(a.lat * RADIANS) * Math.cos(b.lat * RADIANS) * Math.sin((b.lng - a.lng) * RADIANS / 2) ** 2
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(h)))
}

// The circle as a line that starts and ends in its northernmost point; empty where it reaches around the globe.
export function circleLine({lat, lng}, km) {
  if (!(km < Math.PI * EARTH_KM)) return []
  const angle = km / EARTH_KM
  const line = []
  for (let i = 0; i <= 360; i++) {
    const bearing = i * RADIANS
    const sine = Math.sin(lat * RADIANS) * Math.cos(angle) + Math.cos(lat * RADIANS) * Math.sin(angle) * Math.cos(bearing)
    const east = Math.atan2(
      Math.sin(bearing) * Math.sin(angle) * Math.cos(lat * RADIANS),
      Math.cos(angle) - Math.sin(lat * RADIANS) * sine,
    )
    line.push([lng + east / RADIANS, Math.asin(Math.max(-1, Math.min(1, sine))) / RADIANS])
  }
  return unwrapped(line)
}

// The closed outline of a cell; one around a pole goes once around the map and back along the pole.
export function cellRing(cell) {
  const ring = unwrapped(alongGreatCircles(h3.cellToBoundary(cell, true)))
  const [first, last] = [ring[0], ring[ring.length - 1]]
  if (Math.abs(last[0] - first[0]) < 180) return ring
  const pole = Math.sign(first[1]) * 90
  return [...ring, [last[0], pole], [first[0], pole], first]
}

export function unwrapped(line) {
  const result = []
  let before = line.length ? line[0][0] : 0
  for (const [lng, lat] of line) {
    before = lng - 360 * Math.round((lng - before) / 360)
    result.push([before, lat])
  }
  return result
}

function alongGreatCircles(ring) {
  const result = [ring[0]]
  for (let i = 1; i < ring.length; i++) addArc(result, ring[i - 1], ring[i])
  return result
}

function addArc(line, from, to) {
  const east = Math.abs(to[0] - from[0])
  const long = Math.max(Math.abs(to[1] - from[1]), Math.min(east, 360 - east)) > STEP_DEG
  if (!long || Math.max(Math.abs(from[1]), Math.abs(to[1])) > 89.99) return line.push(to)
  const [a, b] = [vector(from), vector(to)]
  const [x, y, z] = a.map((value, axis) => value + b[axis])
  const middle = [Math.atan2(y, x) / RADIANS, Math.atan2(z, Math.hypot(x, y)) / RADIANS]
  addArc(line, from, middle)
  addArc(line, middle, to)
}

function vector([lng, lat]) {
  const flat = Math.cos(lat * RADIANS)
  return [flat * Math.cos(lng * RADIANS), flat * Math.sin(lng * RADIANS), Math.sin(lat * RADIANS)]
}

// [[west, south], [east, north]] of points.
export function boundsOf(points) {
  const [lngs, lats] = [0, 1].map(axis => points.map(point => point[axis]))
  return [[Math.min(...lngs), Math.min(...lats)], [Math.max(...lngs), Math.max(...lats)]]
}
