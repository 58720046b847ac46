// Numbers and answers in words. Mirrors geoclip/writers/wording.py.

export function percent(share) {
  if (share < 0.0005) return "< 0.1 %"
  return `${(100 * share).toFixed(share < 0.00995 ? 1 : 0)} %`
}

export function kilometres(km) {
  if (km < 0.9995) return `${Number((1000 * km).toPrecision(2))} m`
  return km < 9.95 ? `${km.toFixed(1)} km` : `${Number(km.toPrecision(3)).toLocaleString("en")} km`
}

// As exactly as the place is known: digits below a tenth of the radius are left out.
export function coordinates({lat, lng, radius_km: radius = null}) {
  const decimals = radius === null ? 5 : Math.min(Math.max(Math.round(2 - Math.log10(Math.max(radius, 1e-6) / 10)), 1), 5)
  return `${lat.toFixed(decimals)}, ${lng.toFixed(decimals)}`
}

export function exactCoordinates({lat, lng}) {
  return `${lat.toFixed(5)}, ${lng.toFixed(5)}`
}

export function placeName(prediction) {
  const place = prediction.place
  const parts = place ? [place.city, place.region, place.country].filter(Boolean) : []
  return [...new Set(parts)].join(", ") || coordinates(prediction)
}

// What the photo says in one sentence, at the scale that it supports; or why nothing is known.
export function verdict(answer) {
  return answer.verdict || answer.error || "No place was found."
}

// A place stands for its area; one without an area for its cell.
export function chance(prediction) {
  if (prediction.share === null) return percent(prediction.probability)
  const half = prediction.radius_km === null ? "" : `, half of it within ${kilometres(prediction.radius_km)}`
  return `${percent(prediction.share)}${half}`
}

// What the shares of the predictions are of.
export function areasLine(answer) {
  if (answer.area_km === null) return "Each share is of the place alone."
  return `A share is the probability within ${kilometres(answer.area_km)} of a place, without what those above it hold.`
}

export function notes(answer) {
  const result = []
  if (!answer.predictions.length) return result
  if (answer.radius_50_km !== null && answer.radius_90_km !== null)
    result.push(`Half of the probability lies within ${kilometres(answer.radius_50_km)} of the best point, nine tenths within ${kilometres(answer.radius_90_km)}.`)
  if (answer.gps) {
    const datum = answer.gps.datum ? ` (datum ${answer.gps.datum})` : ""
    const away = answer.gps.distance_km === null ? "" : `, ${kilometres(answer.gps.distance_km)} from the best point`
    result.push(`The photo's own GPS says ${coordinates(answer.gps)}${datum}${away}. It was not used.`)
  }
  result.push(answer.calibrated ? "Probabilities are calibrated." : "Probabilities are the model's own, uncalibrated.")
  return result
}

// Of an index only its folder's own name, which tells nothing of the machine.
export function searchedLine(answer) {
  const it = answer.searched
  const index = it.index ? ` index ${it.index.split("/").filter(Boolean).pop()} (${it.index_digest.slice(0, 12)})` : ""
  const parts = [
    `Searched: ${it.candidates}${index}`,
    it.constraint || "everywhere",
    `resolution ${it.resolution}`,
    it.effort && `effort ${it.effort}`,
    `prior weight ${it.prior_weight}`,
    `temperature ${it.temperature}`,
    `point by ${it.point}`,
  ]
  return `${parts.filter(Boolean).join(", ")}.`
}
