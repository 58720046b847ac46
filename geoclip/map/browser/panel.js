// The answer in words, and the legend. All text goes in as text, never as markup.
import {COLOURS} from "./base_map.js"
import {areasLine, chance, coordinates, exactCoordinates, notes, percent, placeName, searchedLine, verdict} from "./words.js"

const MOST_AREAS = 5

export function add(parent, kind, text = "", properties = {}) {
  const child = Object.assign(document.createElement(kind), properties)
  if (text) child.textContent = text
  parent.append(child)
  return child
}

// Says an answer's record; `onPlace` is called with the prediction that was chosen.
export function describe(answer, panel, {photo = null, onPlace, onCopy}) {
  panel.replaceChildren()
  panel.scrollTop = 0
  if (photo) add(panel, "img", "", {src: photo, alt: "The photo, small", className: "photo"})
  add(panel, "h2", answer.query, {className: "query", dir: "auto"})
  if (!answer.predictions.length) {
    add(panel, "p", verdict(answer), {className: "warning"})
    return
  }
  add(panel, "p", verdict(answer), {className: answer.localizable === false ? "verdict warning" : "verdict"})
  shares(panel, "Countries", answer.countries, true)
  places(panel, answer, onPlace, onCopy)
  shares(panel, "Continents", answer.continents)
  shares(panel, "Regions", answer.regions)
  shares(panel, "Cities", answer.cities)
  notes(answer).forEach(text => add(panel, "p", text))
  add(panel, "p", searchedLine(answer), {className: "faint"})
}

function shares(panel, title, areas, open = false) {
  if (!areas.length) return
  const box = add(panel, "details", "", {open})
  add(box, "summary", title)
  const list = add(box, "ul", "", {className: "shares"})
  areas.slice(0, MOST_AREAS).forEach(area => {
    const row = add(list, "li")
    add(row, "span", area.within ? `${area.name}, ${area.within}` : area.name, {dir: "auto"})
    add(row, "span", percent(area.probability), {className: "number"})
    const bar = add(row, "span", "", {className: "bar", ariaHidden: "true"})
    add(bar, "span").style.width = `${Math.max(100 * area.probability, 0.5)}%`
  })
}

function places(panel, answer, onPlace, onCopy) {
  const box = add(panel, "section")
  add(box, "h3", answer.predictions.length > 1 ? "Most probable areas" : "Best point")
  const list = add(box, "ol", "", {className: "places"})
  answer.predictions.forEach((place, i) => {
    const row = add(list, "li")
    const button = add(row, "button", "", {type: "button", title: `Show on the map. Score ${place.score.toFixed(4)}${place.cell ? `, cell ${place.cell}` : ""}`})
    add(button, "b", i ? String(i + 1) : "★", {className: i ? "rank" : "rank best", ariaHidden: "true"})
    const text = add(button, "span", "", {className: "two"})
    add(text, "span", placeName(place), {dir: "auto"})
    add(text, "span", chance(place), {className: "faint"})
    button.onclick = () => onPlace(place)
    const more = add(row, "span", "", {className: "links"})
    const copy = add(more, "button", coordinates(place), {type: "button", className: "plain", title: `Copy ${exactCoordinates(place)}`, ariaLabel: `Copy the coordinates ${coordinates(place)}`})
    copy.onclick = () => onCopy(exactCoordinates(place))
    add(more, "a", "OpenStreetMap", {
      href: `https://www.openstreetmap.org/?mlat=${place.lat}&mlon=${place.lng}#map=15/${place.lat}/${place.lng}`,
      target: "_blank", rel: "noopener", title: "Opens openstreetmap.org, which learns this place", ariaLabel: `${placeName(place)} in OpenStreetMap (online)`,
    })
  })
  add(box, "p", areasLine(answer), {className: "faint"})
}

export function legend(box, dark) {
  box.replaceChildren()
  add(box, "div", "Probability of a cell")
  const gradient = add(box, "div", "", {className: "gradient"})
  gradient.style.backgroundImage = `linear-gradient(to right, ${COLOURS[dark ? "dark" : "light"].shades.join(", ")})`
  const ticks = add(box, "div", "", {className: "ticks"})
  for (let power = -5; power <= 0; power++) add(ticks, "span", `${Number((100 * 10 ** power).toPrecision(1))} %`)
  const level = add(box, "div", "", {className: "faint"})
  for (const [kind, sign, text] of [["best", "★", "best point"], ["alternative", "2", "best of another area"], ["gps", "◆", "the photo's own GPS"], ["l50", "", "holds 50 % of the probability"], ["l90", "", "holds 90 %"], ["area", "", "holds half of another area"]]) {
    const row = add(box, "div", "", {className: "key"})
    add(row, "i", sign, {className: kind, ariaHidden: "true"})
    add(row, "span", text)
  }
  return level
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return `Copied ${text}.`
  } catch {
    return `The browser does not let this page copy; the coordinates are ${text}.`
  }
}
