// The photos of this visit: their list, their answers, and the requests for them. A photo itself is let go when it is
// answered; its vector stays, and is all that later searches send.
import {distanceKm} from "./map/geometry.js"
import {add} from "./map/panel.js"
import {percent, verdict} from "./map/words.js"
import {chooserRow} from "./map/viewer.js"
import {thumbnail} from "./intake.js"

const AT_ONCE = 2 // photos under way
const VECTORS_AT_ONCE = 20 // of a search
const element = id => document.getElementById(id)

export class Photos {
  // `hooks`: parameters() of a search, limits() of the server, show(photo) and say(text).
  constructor(service, hooks) {
    this.service = service
    this.hooks = hooks
    this.all = []
    this.chosen = null
    this.running = 0
    this.searching = Promise.resolve() // searches go one after the other, so that the last one asked for is shown
    element("clear").onclick = () => this.clear()
    element("together").onclick = () => this.together().catch(error => hooks.say(error.message))
  }

  add(files, passed) {
    const {upload_mb: most} = this.hooks.limits()
    for (const {file, name} of files) {
      const photo = {name, file, thumbnail: null, state: "waiting", error: null, vector: null, asked: [], shown: -1}
      if (most && file.size > most * 1e6) Object.assign(photo, {state: "failed", error: `${name} has ${Math.ceil(file.size / 1e6)} MB; this server takes up to ${most}.`, file: null})
      this.all.push(photo)
      this.#addRow(photo)
    }
    const over = passed ? ` ${passed} ${passed === 1 ? "file is not a photo and was" : "files are not photos and were"} passed over.` : ""
    this.hooks.say(files.length ? `${files.length} ${files.length === 1 ? "photo" : "photos"} added.${over}` : `No photos were found.${over}`)
    this.#tell()
    for (let i = this.running; i < AT_ONCE; i++) this.#work()
  }

  get located() {
    return this.all.filter(photo => photo.vector && photo.shown >= 0)
  }

  answerOf(photo) {
    return photo.asked[photo.shown] ?? null
  }

  choose(photo) {
    this.chosen = photo
    for (const one of this.all) one.button.setAttribute("aria-current", String(one === photo))
    photo?.row.scrollIntoView({block: "nearest"})
    this.hooks.show(photo)
  }

  clear() {
    this.all.forEach(photo => photo.row.remove())
    this.all = []
    this.choose(null)
    this.#tell()
    element("choose-files").focus()
  }

  // Searches all vectors again, with other options; the photos are not sent.
  searchAgain() {
    const search = this.searching.then(() => this.#search(this.located))
    this.searching = search.catch(() => {})
    return search
  }

  async #search(located) {
    const parameters = this.hooks.parameters()
    for (let i = 0; i < located.length; i += VECTORS_AT_ONCE) {
      const some = located.slice(i, i + VECTORS_AT_ONCE)
      const response = await this.service.search(some.map(photo => photo.vector), some.map(photo => photo.name), parameters)
      const {answers} = await response.json()
      answers.forEach((answer, j) => this.#take(some[j], answer))
      this.hooks.say(`Searched ${Math.min(i + some.length, located.length)} of ${located.length} again.`)
    }
    if (located.includes(this.chosen)) this.choose(this.chosen)
    if (located.length === 1) this.hooks.say(verdict(this.answerOf(located[0])))
  }

  // The mean of unit vectors, not normalised again: its logits are the means of theirs.
  async together() {
    const located = this.located.filter(photo => !photo.together)
    const mean = located[0].vector.map((_, i) => located.reduce((sum, photo) => sum + photo.vector[i], 0) / located.length)
    const name = `${located.length} photos together`
    const {answers} = await (await this.service.search([mean], [name], this.hooks.parameters())).json()
    const photo = {name, file: null, thumbnail: null, state: "done", error: null, vector: mean, asked: [], shown: -1, together: true}
    this.all.push(photo)
    this.#addRow(photo)
    this.#take(photo, answers[0])
    this.choose(photo)
    this.#tell()
    this.hooks.say(`${name}: ${verdict(answers[0])}`)
  }

  async #work() {
    const photo = this.all.find(({state}) => state === "waiting")
    if (!photo) return
    this.running += 1
    this.#mark(photo, "sent")
    try {
      thumbnail(photo.file).then(image => this.#setThumbnail(photo, image))
      const asked = this.hooks.parameters()
      const {answer, vector} = await this.service.locate(photo.file, photo.name, asked)
      photo.vector = vector
      photo.gps = answer.gps
      this.#take(photo, answer)
      this.#mark(photo, "done")
      if (String(asked) !== String(this.hooks.parameters())) await this.#search([photo]) // changed in the meantime
    } catch (error) {
      photo.error = error.message
      this.#mark(photo, "failed")
    }
    photo.file = null
    this.running -= 1
    if (this.all.includes(photo)) this.#settled(photo)
    this.#work()
  }

  #settled(photo) {
    this.#tell()
    if (!this.chosen || (this.chosen.state !== "done" && photo.state === "done")) this.choose(photo)
    else if (this.chosen === photo) this.choose(photo)
    const left = this.all.filter(({state}) => ["waiting", "sent"].includes(state)).length
    if (!left && this.all.length > 1) this.hooks.say(this.#summary())
    else if (!left) this.hooks.say(photo.error ?? verdict(this.answerOf(photo)))
  }

  #take(photo, answer) {
    answer.query = photo.name
    if (photo.gps && answer.predictions.length) answer.gps = {...photo.gps, distance_km: distanceKm(photo.gps, answer.predictions[0])}
    const same = photo.asked.findIndex(one => one.searched.constraint === answer.searched.constraint && one.searched.index_digest === answer.searched.index_digest)
    if (same >= 0) photo.asked[same] = answer
    photo.shown = same >= 0 ? same : photo.asked.push(answer) - 1
    this.#say(photo)
  }

  #addRow(photo) {
    const made = chooserRow(element("chooser"), {name: photo.name, photo: null, line: ""})
    Object.assign(photo, made)
    photo.button.onclick = () => this.choose(photo)
    const remove = add(photo.row, "button", "×", {type: "button", className: "remove", title: "Remove", ariaLabel: `Remove ${photo.name}`})
    remove.onclick = () => this.#remove(photo)
    this.#say(photo)
  }

  #remove(photo) {
    const next = photo.row.nextElementSibling ?? photo.row.previousElementSibling
    photo.row.remove()
    this.all = this.all.filter(one => one !== photo)
    if (this.chosen === photo) this.choose(this.all.find(({row}) => row === next) ?? null)
    this.#tell()
    const focused = next?.querySelector("button") ?? element("choose-files")
    focused.focus()
  }

  #setThumbnail(photo, image) {
    photo.thumbnail = image
    if (image) photo.button.firstChild.replaceWith(Object.assign(new Image(), {src: image, alt: ""}))
    if (this.chosen === photo && photo.state === "done") this.choose(photo)
  }

  #mark(photo, state) {
    photo.state = state
    this.#say(photo)
  }

  // What is known of a photo, in its row.
  #say(photo) {
    const answer = this.answerOf(photo)
    const best = answer?.countries[0]
    const text = {
      waiting: () => "Waiting",
      sent: () => "Being located …",
      failed: () => photo.error,
      done: () => (answer.localizable === false ? "Says little" : best ? `${best.name} ${percent(best.probability)}` : verdict(answer)),
    }[photo.state]
    photo.said.textContent = photo.state === "sent" || photo.state === "waiting" || photo.state === "failed" || answer ? text() : ""
    photo.said.title = photo.said.textContent
    photo.said.className = `faint ${photo.state === "sent" ? "spinner" : photo.state}`
  }

  #tell() {
    const done = this.all.filter(({state}) => ["done", "failed"].includes(state)).length
    element("summary").textContent = this.all.length ? this.#summary() : "None yet. They are forgotten when this page is closed."
    Object.assign(element("progress"), {value: done, max: Math.max(this.all.length, 1), hidden: done === this.all.length})
    element("list-buttons").hidden = !this.all.length
    element("together").disabled = this.located.filter(photo => !photo.together).length < 2
  }

  #summary() {
    const count = state => this.all.filter(photo => photo.state === state).length
    const failed = count("failed")
    const waiting = count("waiting") + count("sent")
    const parts = [`${count("done")} located`, failed && `${failed} could not be located`, waiting && `${waiting} to go`]
    return `${parts.filter(Boolean).join(", ")}.`
  }
}
