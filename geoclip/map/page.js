"use strict"
// Chooses what the map shows. `start` is called with the parts of the Bokeh plot once it stands.

const RADIUS = 6378137 // of Web Mercator, metres
const WORLD = 2 * Math.PI * RADIUS
const COPIES = [-WORLD, 0, WORLD] // the map goes on across the antimeridian

function start({plot, land, borders, cells, circles, places, ground, tiles}) {
  const content = JSON.parse(document.getElementById("content").textContent)
  const element = id => document.getElementById(id)
  let answer = null
  let level = null // the resolution of the cells on screen
  let metresPerPixel = null // of the map, not of the ground

  function thrice(data, moved) {
    const result = {}
    for (const [name, column] of Object.entries(data)) {
      const move = by => (Array.isArray(column[0]) ? column.map(line => line.map(v => v + by)) : column.map(v => v + by))
      result[name] = COPIES.flatMap(by => (moved.includes(name) ? move(by) : column))
    }
    return result
  }

  function drawOutlines() {
    const filled = {xs: [], ys: []}
    const lines = {xs: [], ys: []}
    for (const steps of content.outlines) {
      const xs = [], ys = []
      let line = null, lng = 0, lat = 0
      for (let i = 0; i < steps.length; i += 2) {
        const wasEdge = Math.abs(lng) === 18000
        lng += steps[i]
        lat += steps[i + 1]
        const x = RADIUS * lng * Math.PI / 18000
        const y = RADIUS * Math.asinh(Math.tan(Math.max(Math.min(lat, 8505.1), -8505.1) * Math.PI / 18000))
        // the edge of the map, where some countries are cut in two, is no border
        if (!line || (wasEdge && Math.abs(lng) === 18000)) {
          line = [[], []]
          lines.xs.push(line[0])
          lines.ys.push(line[1])
        }
        xs.push(x), ys.push(y), line[0].push(x), line[1].push(y)
      }
      filled.xs.push(xs)
      filled.ys.push(ys)
    }
    land.data = thrice(filled, ["xs"])
    borders.data = thrice(lines, ["xs"])
  }

  // The finest resolution whose cells are wide enough: twice their mean edge length.
  function levelFor(groundMetresPerPixel) {
    const ratio = 2 * 1281256 / (content.least_pixels * groundMetresPerPixel)
    return Math.min(Math.max(Math.floor(Math.log(ratio) / Math.log(Math.sqrt(7))), 0), 15)
  }

  // Cells of the level and, beneath them, coarser ones that hold more than their finer cells do: nothing vanishes.
  function drawCells() {
    const all = answer.cells
    const data = {xs: [], ys: [], id: [], resolution: [], shade: [], text: []}
    const drawn = Math.min(level, Math.max(0, ...all.resolution))
    all.id.forEach((id, row) => {
      const exact = all.resolution[row] === drawn
      if (!exact && (all.resolution[row] > drawn || all.rest[row] < content.least_rest)) return
      const whole = all.probability[row], rest = all.rest[row]
      data.xs.push(all.xs[row])
      data.ys.push(all.ys[row])
      data.id.push(id)
      data.resolution.push(all.resolution[row])
      data.shade.push(exact ? whole : rest / (all.free[row] * Math.pow(7, drawn - all.resolution[row])))
      const divided = !exact && whole - rest > 1e-9
      data.text.push(divided ? `${percent(rest)} outside finer cells, ${percent(whole)} in all` : percent(whole))
    })
    cells.data = thrice(data, ["xs"])
    const across = 2 * 1281.256 / Math.pow(7, drawn / 2)
    element("level").textContent = all.id.length
      ? `H3 resolution ${drawn}, about ${kilometres(across)} wide; in larger cells, the mean of such cells`
      : "no cells in this answer"
  }

  function drawPlaces() {
    const [xs, ys] = [0, 1].map(axis => answer.circles.map(line => line[axis]))
    circles.data = thrice({xs, ys, dash: answer.circles.length ? ["solid", "dashed"] : []}, ["xs"])
    const data = {x: [], y: [], rank: [], marker: [], size: [], fill: [], name: [], text: [], at: [], cell: []}
    answer.predictions.map((place, i) => ({place, i})).reverse().forEach(({place, i}) => {
      data.x.push(place.x)
      data.y.push(place.y)
      data.rank.push(i ? String(i + 1) : "")
      data.marker.push(i ? "circle" : "star")
      data.size.push(i ? 20 : 26)
      data.fill.push(i ? "white" : "#c4320a")
      data.name.push(`${i ? `alternative ${i + 1}` : "best point"}: ${place.name}`)
      data.text.push(chance(place))
      data.at.push(coordinates(place))
      data.cell.push(place.cell)
    })
    places.data = thrice(data, ["x"])
  }

  function updateView() {
    if (!plot.inner_width) return
    metresPerPixel = (plot.x_range.end - plot.x_range.start) / plot.inner_width
    const onGround = metresPerPixel / Math.cosh((plot.y_range.start + plot.y_range.end) / 2 / RADIUS)
    const length = roundBelow(110 * onGround)
    element("bar").style.width = `${length / onGround}px`
    element("length").textContent = kilometres(length / 1000)
    const wanted = levelFor(onGround)
    if (wanted !== level) {
      level = wanted
      if (answer) drawCells()
    }
  }

  function show(x, y, scale) {
    const halfWidth = scale * plot.inner_width / 2, halfHeight = scale * plot.inner_height / 2
    plot.x_range.setv({start: x - halfWidth, end: x + halfWidth})
    plot.y_range.setv({start: y - halfHeight, end: y + halfHeight})
    updateView()
  }

  function showWorld() {
    const {x, y} = (answer && answer.predictions[0]) || {x: 0, y: 0}
    const scale = Math.max(WORLD / plot.inner_width, 0.7 * WORLD / plot.inner_height)
    const reach = 0.25 * scale * plot.inner_height
    const middle = Math.abs(x) > 0.4 * WORLD ? Math.sign(x) * WORLD / 2 : 0 // the Pacific, if need be
    show(middle, Math.min(Math.max(2.2e6, y - reach), y + reach), scale)
  }

  function showRegion() {
    if (!answer || !answer.predictions.length || answer.radius_90_km > 5000) return showWorld()
    const best = answer.predictions[0]
    let [xs, ys] = answer.circles[1]
    let least = 2
    if (!xs.length) { // no radius is known: all places, on the side of the antimeridian where they are nearest
      xs = answer.predictions.map(({x}) => x - WORLD * Math.round((x - best.x) / WORLD))
      ys = answer.predictions.map(({y}) => y)
      least = 500
    }
    const [west, east, south, north] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]
    if (east - west > WORLD / 2) return showWorld()
    const scale = 1.25 * Math.max((east - west) / plot.inner_width, (north - south) / plot.inner_height)
    show((west + east) / 2, (south + north) / 2, Math.max(scale, least))
  }

  const showPlace = place => show(place.x, place.y, 6 * Math.cosh(place.y / RADIUS))

  function choose(index) {
    answer = content.answers[index]
    element("chooser").querySelectorAll("button").forEach((button, i) => {
      button.setAttribute("aria-current", i === index)
      if (i === index) button.scrollIntoView({block: "nearest"})
    })
    level = null
    drawPlaces()
    describe(answer, element("answer"), showPlace)
    element("region").disabled = element("street").disabled = !answer.predictions.length
    if (plot.inner_width) showRegion()
  }

  drawOutlines()
  listAnswers(content, element("chooser"), choose)
  element("world").onclick = showWorld
  element("region").onclick = showRegion
  element("street").onclick = () => showPlace(answer.predictions[0])
  element("online").onchange = event => {
    const online = event.target.checked
    tiles.tile_source.url = "https://tile.openstreetmap.org/{Z}/{X}/{Y}.png"
    plot.renderers = online ? [tiles, ...plot.renderers] : plot.renderers.filter(layer => layer !== tiles)
    ground.visible = !online
    element("credit").hidden = !online
  }
  plot.x_range.properties.start.change.connect(updateView)
  plot.x_range.properties.end.change.connect(updateView)
  let laidOut = plot.inner_width > 0
  const keepScale = () => { // a resized window shows more or less of the map, not the map stretched
    if (!plot.inner_width || !plot.inner_height) return
    if (!laidOut) return (laidOut = true), showRegion()
    const {x_range, y_range} = plot
    show((x_range.start + x_range.end) / 2, (y_range.start + y_range.end) / 2, metresPerPixel)
  }
  plot.properties.inner_width.change.connect(keepScale)
  plot.properties.inner_height.change.connect(keepScale)
  if (content.answers.length) return choose(Math.max(content.answers.findIndex(one => one.predictions.length), 0))
  element("answer").textContent = "There are no answers."
  if (laidOut) showWorld()
}

function listAnswers(content, list, choose) {
  list.hidden = content.answers.length < 2
  content.answers.forEach((one, index) => {
    const button = add(list, "button")
    if (one.photo) add(button, "img", "", {src: one.photo, alt: ""})
    else add(button, "div", "", {className: "blank"})
    const two = add(button, "div", "", {className: "two"})
    add(two, "div", one.query, {className: "line", title: one.query})
    const best = one.predictions[0]
    const found = best ? `${best.name}, ${chance(best)}` : one.error || "nothing found"
    add(two, "div", found, {className: "line faint", title: found})
    button.onclick = () => choose(index)
  })
}

// Cells differ in size, and so their probabilities say little: what counts is how much lies nearby.
function chance(place) {
  return place.nearby === null ? percent(place.probability) : `${percent(place.nearby)} within 25 km`
}

// All text goes in as text, never as markup.
function describe(answer, panel, showPlace) {
  panel.replaceChildren()
  panel.scrollTop = 0
  if (answer.photo) add(panel, "img", "", {src: answer.photo, alt: "the photo"})
  add(panel, "h1", answer.query)
  if (answer.error || !answer.predictions.length) add(panel, "p", answer.error || "Nothing found.", {className: "warning"})
  const list = add(panel, "ol")
  answer.predictions.forEach((place, i) => {
    const button = add(add(list, "li"), "button", "", {title: `${place.cell} · score ${place.score.toFixed(4)}`})
    add(button, "b", i ? String(i + 1) : "★", {className: i ? "" : "best"})
    const text = add(button, "span")
    add(text, "div", place.name)
    add(text, "div", chance(place), {className: "faint"})
    if (place.name !== coordinates(place)) add(text, "div", coordinates(place), {className: "faint"})
    button.onclick = () => showPlace(place)
  })
  answer.sentences.forEach(sentence => add(panel, "p", sentence))
}

function add(parent, kind, text = "", properties = {}) {
  const child = Object.assign(document.createElement(kind), properties)
  if (text) child.textContent = text
  return parent.appendChild(child)
}

function percent(share) {
  if (share < 0.0005) return "< 0.1 %"
  return `${(100 * share).toFixed(share < 0.00995 ? 1 : 0)} %`
}

function kilometres(length) {
  return length < 1 ? `${Math.round(1000 * length)} m` : `${length.toLocaleString("en", {maximumSignificantDigits: 2})} km`
}

function coordinates({lat, lng}) {
  return `${lat.toFixed(5)}, ${lng.toFixed(5)}`
}

function roundBelow(length) {
  const power = Math.pow(10, Math.floor(Math.log10(length)))
  return power * [5, 2, 1].find(step => step * power <= length)
}
