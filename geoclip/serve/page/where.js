// Where to look: countries, boxes and circles, as the options of a search.
import {circleLine, distanceKm} from "./map/geometry.js"
import {add} from "./map/panel.js"
import {kilometres} from "./map/words.js"

const element = id => document.getElementById(id)
const wrapped = lng => ((((lng + 180) % 360) + 360) % 360) - 180
const short = value => Number(value.toFixed(value < 10 && value > -10 ? 4 : 3))

export class Where {
  // `viewer` shows the map; `onChange` returns a promise, which is rejected where the server refuses the areas.
  constructor(viewer, onChange, say) {
    this.areas = [] // {parameter, value, text, line}
    this.viewer = viewer
    this.onChange = onChange
    this.say = say
    this.stopDrawing = null
    for (const [code, name] of viewer.countries) if (code) add(element("countries"), "option", "", {value: name})
    element("country-form").onsubmit = event => { event.preventDefault(); this.#addCountry(element("country")) }
    element("box-form").onsubmit = event => { event.preventDefault(); this.#addBoxOf(event.target) }
    element("circle-form").onsubmit = event => { event.preventDefault(); this.#addCircleOf(event.target) }
    element("draw-box").onclick = () => this.#draw("box")
    element("draw-circle").onclick = () => this.#draw("circle")
    element("use-view").onclick = () => {
      const [[west, south], [east, north]] = viewer.map.view
      this.addBox(south, west, north, east)
    }
    for (const id of ["draw-box", "draw-circle", "use-view"]) element(id).disabled = !viewer.map
  }

  // [name, value] of each option.
  get parameters() {
    return this.areas.map(({parameter, value}) => [parameter, value])
  }

  addBox(south, west, north, east) {
    const whole = east - west >= 360
    const [left, right] = whole ? [-180, 180] : [wrapped(west), wrapped(east)]
    const value = [Math.max(south, -90), left, Math.min(north, 90), right].map(short)
    const end = right < left ? right + 360 : right
    const line = [[left, south], [end, south], [end, north], [left, north], [left, south]]
    return this.#add("bbox", value.join(","), `the box from ${value[0]}, ${value[1]} to ${value[2]}, ${value[3]}`, line)
  }

  addCircle(lat, lng, km) {
    const value = [short(lat), short(wrapped(lng)), Number(km.toPrecision(4))]
    return this.#add("near", value.join(","), `within ${kilometres(km)} of ${value[0]}, ${value[1]}`, circleLine({lat: value[0], lng: value[1]}, value[2]))
  }

  #addCountry(input) {
    const name = input.value.trim()
    if (name) this.#add("country", name.replaceAll(",", " "), name, null)
    input.value = ""
  }

  #addBoxOf(form) {
    const [south, west, north, east] = numbersOf(form, ["south", "west", "north", "east"])
    if (!(south < north && Math.abs(south) <= 90 && Math.abs(north) <= 90 && Math.abs(west) <= 360 && Math.abs(east) <= 360))
      return this.say("Give south and north in degrees of latitude, south below north, and west and east in degrees of longitude.")
    return this.addBox(south, west, north, east < west ? east + 360 : east)
  }

  #addCircleOf(form) {
    const [lat, lng, km] = numbersOf(form, ["lat", "lng", "km"])
    if (!(Math.abs(lat) <= 90 && Math.abs(lng) <= 360 && km > 0))
      return this.say("Give a latitude from -90 to 90, a longitude, and a radius in kilometres above 0.")
    return this.addCircle(lat, lng, km)
  }

  async #add(kind, value, text, line) {
    const not = document.querySelector("input[name=mode]:checked").value === "not"
    const area = {parameter: not ? `not_${kind}` : kind, value, text: not ? `not ${text}` : text, line}
    if (this.areas.some(other => other.parameter === area.parameter && other.value === value)) return
    await this.#change([...this.areas, area])
  }

  async #change(areas) {
    const before = this.areas
    this.areas = areas
    this.#show()
    try {
      await this.onChange()
    } catch (error) {
      this.areas = before // what was refused is not kept
      this.#show()
      this.say(error.message)
    }
  }

  #show() {
    const list = element("areas")
    list.replaceChildren()
    this.areas.forEach((area, i) => {
      const button = add(add(list, "li"), "button", `${area.text} ×`, {type: "button", title: "Remove", ariaLabel: `Remove: ${area.text}`})
      button.onclick = () => this.#change(this.areas.filter((_, j) => j !== i)).then(() => element("country").focus())
    })
    element("where-summary").textContent = this.areas.length ? "Several of a kind widen the search, different kinds narrow it." : "Everywhere."
    this.viewer.map?.setDrawn(this.areas.map(({line}) => line).filter(Boolean))
  }

  // The next drag on the map draws; Escape, or the button again, ends it.
  #draw(kind) {
    if (this.stopDrawing) {
      const same = this.stopDrawing.kind === kind
      this.stopDrawing()
      if (same) return
    }
    const {map} = this.viewer.map
    const [canvas, button, frame] = [map.getCanvas(), element(`draw-${kind}`), element("map").parentElement]
    const gestures = [map.dragPan, map.touchZoomRotate, map.boxZoom, map.doubleClickZoom]
    const at = event => {
      const box = canvas.getBoundingClientRect()
      return {x: event.clientX - box.left, y: event.clientY - box.top, ...map.unproject([event.clientX - box.left, event.clientY - box.top])}
    }
    let start = null
    const lines = end => (kind === "box"
      ? [[start.lng, start.lat], [end.lng, start.lat], [end.lng, end.lat], [start.lng, end.lat], [start.lng, start.lat]]
      : circleLine(start, distanceKm(start, end)))
    const down = event => {
      start = at(event)
      canvas.setPointerCapture(event.pointerId)
    }
    const move = event => start && this.viewer.map.setDrawn([...this.areas.map(({line}) => line).filter(Boolean), lines(at(event))])
    const up = event => {
      const [from, to] = [start, at(event)]
      if (!from) return
      stop()
      if (Math.hypot(to.x - from.x, to.y - from.y) < 5) return this.say("Press, drag and let go to draw.")
      if (kind === "circle") return this.addCircle(from.lat, from.lng, distanceKm(from, to))
      this.addBox(Math.min(from.lat, to.lat), Math.min(from.lng, to.lng), Math.max(from.lat, to.lat), Math.max(from.lng, to.lng))
    }
    const key = event => event.key === "Escape" && stop()
    const listeners = [[canvas, "pointerdown", down], [canvas, "pointermove", move], [canvas, "pointerup", up], [canvas, "pointercancel", () => stop()], [document, "keydown", key]]
    const stop = () => {
      listeners.forEach(([target, name, listener]) => target.removeEventListener(name, listener))
      gestures.forEach(gesture => gesture.enable())
      map.touchZoomRotate.disableRotation()
      frame.classList.remove("drawing")
      button.setAttribute("aria-pressed", "false")
      element("draw-help").hidden = true
      this.stopDrawing = null
      start = null
      this.viewer.map.setDrawn(this.areas.map(({line}) => line).filter(Boolean))
    }
    stop.kind = kind
    this.stopDrawing = stop
    listeners.forEach(([target, name, listener]) => target.addEventListener(name, listener))
    gestures.forEach(gesture => gesture.disable())
    frame.classList.add("drawing")
    button.setAttribute("aria-pressed", "true")
    element("draw-help").textContent = kind === "box" ? "Drag on the map from one corner to the other. Escape ends it." : "Drag on the map from the middle outwards. Escape ends it."
    element("draw-help").hidden = false
  }
}

function numbersOf(form, names) {
  return names.map(name => {
    const text = form.elements[name].value.trim().replace(",", ".")
    return text === "" ? NaN : Number(text)
  })
}
