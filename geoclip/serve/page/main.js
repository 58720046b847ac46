// The page: photos in, a map and words out. Everything is asked of the server that the page comes from.
import {unpacked} from "./map/base_map.js"
import {add} from "./map/panel.js"
import {Viewer} from "./map/viewer.js"
import {offerDownloads} from "./downloads.js"
import {listenForPhotos} from "./intake.js"
import {Photos} from "./photos.js"
import {Service} from "./service.js"
import {Where} from "./where.js"

const SECONDS_SAID = 8
const NO_PHOTOS = "This server was started for vectors only and takes no photos."
const element = id => document.getElementById(id)
let saidTimer = null

function say(text) {
  element("status").textContent = text
  clearTimeout(saidTimer)
  saidTimer = setTimeout(() => (element("status").textContent = ""), 1000 * SECONDS_SAID)
}

function askKey() {
  const dialog = element("key-dialog")
  dialog.showModal()
  return new Promise(resolve => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" && element("key").value ? element("key").value : null), {once: true})
  })
}

const service = new Service(askKey)
const viewer = await Viewer.open(await (await fetch("map/base.json.gz")).arrayBuffer())
let served = {notice: "", limits: {}, indexes: [], default: null, photos: true}
let index = null

const parameters = () => [...where.parameters, ...(index ? [["index", index]] : [])]
const photos = new Photos(service, {parameters, limits: () => served.limits, show, say})
const where = new Where(viewer, () => photos.searchAgain(), say)

listenForPhotos((files, passed) => {
  if (!served.photos) return say(NO_PHOTOS)
  photos.add(files, passed)
})
offerDownloads(service, photos, {parameters, notice: () => served.notice, say})
element("online").onchange = event => viewer.map?.setOnline(event.target.checked)
element("online").disabled = !viewer.map

function show(photo) {
  const answer = photo && photos.answerOf(photo)
  viewer.show(answer, photo?.thumbnail, say)
  element("downloads").hidden = !photos.located.length
  if (!photo) add(element("answer"), "p", "Answers appear here.", {className: "empty"})
  else if (!answer) {
    add(element("answer"), "h2", photo.name, {className: "query", dir: "auto"})
    add(element("answer"), "p", photo.error ?? "Not located yet.", {className: photo.error ? "warning" : "empty"})
  }
  showAsked(photo)
}

// The answers to a photo under other constraints stay, one button each.
function showAsked(photo) {
  const box = element("asked")
  box.replaceChildren()
  box.hidden = !photo || photo.asked.length < 2
  photo?.asked.forEach((answer, i) => {
    const several = served.indexes.length > 1 ? `${answer.searched.index.split("/").pop() || "gallery"}: ` : ""
    const button = add(box, "button", `${several}${answer.searched.constraint || "everywhere"}`, {type: "button"})
    button.setAttribute("aria-pressed", String(i === photo.shown))
    button.onclick = () => {
      photo.shown = i
      photos.choose(photo)
      element("asked").children[i].focus()
    }
  })
}

async function start() {
  show(null)
  served = await service.index()
  element("notice").textContent = served.notice
  element("notice").hidden = !served.notice
  const used = served.indexes.find(({name}) => name === served.default)
  if (used) element("served").textContent = `Searched: ${used.candidates === "planet" ? `the index ${used.name}` : "the gallery of known places"}.`
  for (const {name} of served.indexes) add(element("index"), "option", name, {value: name, selected: name === served.default})
  element("index-row").hidden = served.indexes.length < 2
  element("index").onchange = event => chooseIndex(event.target.value)
  if (!served.photos) {
    element("intake").querySelectorAll("button").forEach(button => (button.disabled = true))
    element("intake").firstElementChild.textContent = NO_PHOTOS
  }
}

// Vectors are of one model: those of another's photos mean nothing in this index.
function chooseIndex(name) {
  const model = wanted => served.indexes.find(one => one.name === wanted)?.model
  const same = model(name) === model(index ?? served.default)
  index = name
  if (same) return photos.searchAgain().catch(error => say(error.message))
  photos.clear()
  say("This index was built with another model. Add the photos again.")
}

start().catch(error => {
  element("notice").textContent = error.message
  element("notice").hidden = false
})
fetch("map/towns.json.gz").then(response => response.arrayBuffer()).then(unpacked).then(towns => viewer.map?.setTowns(towns), () => {}) // the map stays without names of towns
document.body.dataset.state = "ready"
