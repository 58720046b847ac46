// Numbers and answers in words. Mirrors geoclip/writers/wording.py.

export function percent(share) {
  if (share < 0.0005) return "< 0.1 %"
  return `${(100 * share).toFixed(share < 0.00995 ? 1 : 0)} %`
}

export function kilometres(km) {
  if (km < 0.9995) return `${Number((1000 * km).toPrecision(2))} m`
  return km < 9.95 ? `${km.toFixed(1)} km` : `${Number(km.toPrecision(3)).toLocaleString("en")} km`
}

export function coordinates({lat, lng}, decimals = 5) {
  return `${lat.toFixed(decimals)}, ${lng.toFixed(decimals)}`
}

export function placeName(prediction) {
  const place = prediction.place
  const parts = place ? [place.city, place.region, place.country].filter(Boolean) : []
  return [...new Set(parts)].join(", ") || coordinates(prediction)
}

export function shortPlace(prediction) {
  const place = prediction.place
  const parts = place ? [place.city || place.region, place.country].filter(Boolean) : []
  return [...new Set(parts)].join(", ") || coordinates(prediction, 2)
}

// Cells differ in size, so their probabilities say little: what counts is how much lies nearby.
export function chance(prediction) {
  return prediction.nearby === null ? percent(prediction.probability) : `${percent(prediction.nearby)} within 25 km`
}

// What the photo says in one or two sentences, the most important first.
export function verdict(answer) {
  if (!answer.predictions.length) return answer.error || "No place was found."
  const best = answer.predictions[0]
  const [first, second] = answer.countries
  const where = first ? `${first.name} (${percent(first.probability)})` : placeName(best)
  const or = first && second && first.probability < 0.75 ? ` or ${second.name} (${percent(second.probability)})` : ""
  const near = answer.radius_50_km === null ? "" : `, with even odds within ${kilometres(answer.radius_50_km)} of ${shortPlace(best)}`
  return `${where}${or}${near}.`
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
    answer.estimated > 0 && `${percent(answer.estimated)} estimated`,
  ]
  return `${parts.filter(Boolean).join(", ")}.`
}
