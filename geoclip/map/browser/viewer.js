// The map, its buttons and the words beside it: what a file with answers and the page of the server share.
import {unpacked} from "./base_map.js"
import {AnswerMap} from "./answer_map.js"
import {add, copyText, describe, legend} from "./panel.js"

const element = id => document.getElementById(id)

export class Viewer {
  // `packed` are the bytes of base.json.gz. Where the browser cannot draw the map, the words stay.
  static async open(packed) {
    const viewer = new Viewer()
    const base = await unpacked(packed)
    try {
      viewer.map = new AnswerMap(element("map"), base, {onScale: text => viewer.tellScale(text)})
    } catch (error) {
      add(element("map"), "p", "This browser cannot draw the map (WebGL is off). The words beside it say what is known.", {className: "warning"})
      console.error(error)
    }
    viewer.countries = base.countries
    return viewer
  }

  constructor() {
    this.map = null
    this.answer = null
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const drawLegend = () => { this.scale = legend(element("legend"), dark.matches); this.tellScale(this.scaleText) }
    this.scaleText = ""
    drawLegend()
    dark.addEventListener("change", drawLegend)
    if (element("map").clientWidth < 700) element("legend-box").open = false
    element("world").onclick = () => this.map?.showWorld()
    element("region").onclick = () => this.map?.showRegion()
    element("best").onclick = () => this.map?.showPlace(this.answer.predictions[0])
    this.show(null)
  }

  tellScale(text) {
    this.scaleText = text
    this.scale.textContent = text
  }

  // `say` is told what happened, in words.
  show(answer, photo = null, say = () => {}) {
    this.answer = answer
    const found = Boolean(answer && answer.predictions.length)
    element("region").disabled = element("best").disabled = !found
    this.map?.show(answer)
    if (!answer) return element("answer").replaceChildren()
    describe(answer, element("answer"), {
      photo,
      onPlace: place => this.map?.showPlace(place),
      onCopy: text => copyText(text).then(say),
    })
  }
}

// A row of the list of photos: what is known of it in one line.
export function chooserRow(list, {name, photo, line}) {
  const row = add(list, "li")
  const button = add(row, "button", "", {type: "button"})
  if (photo) add(button, "img", "", {src: photo, alt: ""})
  else add(button, "span", "", {className: "blank"})
  const two = add(button, "span", "", {className: "two"})
  add(two, "span", name, {title: name, dir: "auto"})
  const said = add(two, "span", line, {className: "faint", title: line})
  return {row, button, said}
}
