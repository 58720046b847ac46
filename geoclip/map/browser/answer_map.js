// The map of an answer: shaded cells, circles, the best point, alternatives, the photo's own GPS.
import {COLOURS, baseLayers, baseSources, credit, feature, geojson, tileLayer, tileSource, townFeatures} from "./base_map.js"
import {cellWidthKm, finestOf, resolutionFor, shownAt, treeOf} from "./cells.js"
import {boundsOf, circleLine, unwrapped} from "./geometry.js"
import {chance, coordinates, kilometres, percent, placeName} from "./words.js"

const WIDEST_KM = 4000 // a 90 % circle beyond this is shown as the world
const TOUCHING_PIXELS = 21

export class AnswerMap {
  // `onScale` is told the resolution of the cells on screen in words.
  constructor(container, base, {onScale = () => {}} = {}) {
    this.scheme = matchMedia("(prefers-color-scheme: dark)")
    this.onScale = onScale
    this.tree = []
    this.markers = []
    this.level = null
    const layers = baseLayers(this.colours, innerWidth >= 2400 ? 1.5 : 1)
    this.map = new maplibregl.Map({
      container,
      style: {
        version: 8,
        sources: {...baseSources(base), cells: geojson([]), circles: geojson([]), drawn: geojson([])},
        layers: [...layers.beneath, this.#cellLayers()[0], ...layers.above, ...this.#cellLayers().slice(1), ...layers.names],
      },
      center: [10, 25],
      zoom: 1,
      maxZoom: 17,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      attributionControl: false,
      locale: {"Map.Title": "Map. What it shows is said in words beside it. Arrow keys move it, plus and minus zoom."},
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.keyboard.disableRotation()
    this.map.addControl(new maplibregl.AttributionControl({compact: false, customAttribution: credit}), "bottom-right")
    this.map.addControl(new maplibregl.NavigationControl({showCompass: false}), "top-right")
    this.map.addControl(new maplibregl.ScaleControl({maxWidth: 80}), "bottom-left")
    this.ready = new Promise(resolve => this.map.once("load", resolve))
    this.map.on("idle", () => (container.dataset.state = "drawn"))
    this.map.on("render", () => (container.dataset.state = "drawing"))
    this.map.on("zoom", () => this.#drawCells())
    this.map.on("move", () => this.#separateMarkers())
    this.scheme.addEventListener("change", () => this.#repaint())
    this.#tellCells()
  }

  get colours() {
    return COLOURS[this.scheme.matches ? "dark" : "light"]
  }

  setTowns(towns) {
    this.ready.then(() => {
      const [first, more] = townFeatures(towns)
      this.map.getSource("towns").setData(first)
      this.map.getSource("moreTowns").setData(more)
    })
  }

  // Draws a record of an answer, or nothing for null.
  show(answer) {
    this.answer = answer && answer.predictions.length ? answer : null
    this.tree = this.answer ? treeOf(answer.cells) : []
    this.level = null
    this.#placeMarkers()
    this.ready.then(() => {
      this.#drawCells()
      this.map.getSource("circles").setData(geojson(this.#circles()).data)
    })
    this.showRegion()
  }

  showWorld() {
    const best = this.answer && this.answer.predictions[0]
    this.#fit([[-170, -58], [190, 76]], [best && Math.abs(best.lng) > 140 ? 180 : 10, 28])
  }

  // The 90 % circle, or all places where no radius is known.
  showRegion() {
    if (!this.answer) return this.showWorld()
    const [best, ...others] = this.answer.predictions
    const km = this.answer.radius_90_km
    if (km !== null && km > WIDEST_KM) return this.showWorld()
    const points = km === null ? unwrapped([best, ...others].map(({lat, lng}) => [lng, lat])) : circleLine(best, Math.max(km, 1))
    const bounds = boundsOf(points)
    if (bounds[1][0] - bounds[0][0] > 180) return this.showWorld()
    this.#fit(bounds)
  }

  showPlace({lat, lng}) {
    this.#move({center: [lng, lat], zoom: Math.max(this.map.getZoom(), 9)})
  }

  // [[west, south], [east, north]] of what is seen.
  get view() {
    return this.map.getBounds().toArray()
  }

  showBounds(bounds) {
    this.#fit(bounds)
  }

  // Shows where is searched: lines of [lng, lat].
  setDrawn(lines) {
    this.ready.then(() => this.map.getSource("drawn").setData(geojson(lines.map(line => feature("LineString", line))).data))
  }

  // OpenStreetMap's tiles in place of the offline map: the provider learns what part of the map is looked at.
  setOnline(online) {
    this.ready.then(() => {
      if (online && !this.map.getSource("tiles")) this.map.addSource("tiles", tileSource())
      if (online) this.map.addLayer(tileLayer, "cells")
      else if (this.map.getLayer("tiles")) this.map.removeLayer("tiles").removeSource("tiles")
      const layers = baseLayers(this.colours)
      for (const {id} of [...layers.above, ...layers.names, layers.beneath[1]]) this.map.setLayoutProperty(id, "visibility", online ? "none" : "visible")
    })
  }

  #fit(bounds, centre = null) {
    const camera = this.map.cameraForBounds(bounds, {padding: 36, maxZoom: 12})
    if (camera) this.#move(centre ? {...camera, center: centre} : camera)
  }

  #move(camera) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || !this.moved
    this.moved = true
    if (still) this.map.jumpTo(camera)
    else this.map.easeTo({...camera, duration: 500})
  }

  #cellLayers() {
    const colours = this.colours
    const shades = colours.shades.flatMap((colour, i) => [i - 5, colour])
    return [
      {
        id: "cells", type: "fill", source: "cells",
        paint: {"fill-color": ["interpolate", ["linear"], ["get", "shade"], ...shades], "fill-outline-color": colours.cell},
      },
      {id: "areas", type: "line", source: "circles", filter: ["==", ["get", "share"], 0], paint: {"line-color": colours.text, "line-width": 1.3, "line-opacity": 0.8}},
      {id: "circles-halo", type: "line", source: "circles", filter: [">", ["get", "share"], 0], paint: {"line-color": colours.halo2, "line-width": 4.5, "line-opacity": 0.8}},
      {id: "circle-90", type: "line", source: "circles", filter: ["==", ["get", "share"], 0.9], paint: {"line-color": colours.point, "line-width": 2.2, "line-dasharray": [3, 2]}},
      {id: "circle-50", type: "line", source: "circles", filter: ["==", ["get", "share"], 0.5], paint: {"line-color": colours.point, "line-width": 2.2}},
      {id: "drawn", type: "line", source: "drawn", paint: {"line-color": colours.drawn, "line-width": 2.5, "line-dasharray": [1.5, 1.5]}},
    ]
  }

  #repaint() {
    const layers = baseLayers(this.colours)
    for (const {id, paint} of [...layers.beneath, ...layers.above, ...layers.names, ...this.#cellLayers()])
      for (const [name, value] of Object.entries(paint)) this.map.setPaintProperty(id, name, value)
  }

  #circles() {
    if (!this.answer) return []
    const {predictions: [best, ...others], radius_50_km: half, radius_90_km: most} = this.answer
    return [[0.9, best, most], [0.5, best, half], ...others.map(place => [0, place, place.radius_km])]
      .filter(([, , km]) => km !== null && km > 0.01)
      .map(([share, place, km]) => feature("LineString", circleLine(place, km), {share}))
      .filter(({geometry}) => geometry.coordinates.length)
  }

  #drawCells() {
    const metres = 40075016.7 * Math.cos(this.map.getCenter().lat * Math.PI / 180) / (512 * 2 ** this.map.getZoom())
    const level = Math.min(resolutionFor(metres), finestOf(this.tree))
    if (level === this.level || !this.map.getSource("cells")) return
    this.level = level
    this.map.getSource("cells").setData(shownAt(this.tree, level))
    const wide = kilometres(cellWidthKm(level))
    this.onScale(this.tree.length ? `Cells about ${wide} wide (H3 resolution ${level}); larger ones show the mean of such cells.` : "")
  }

  #placeMarkers() {
    this.markers.forEach(({marker}) => marker.remove())
    this.markers = []
    if (!this.answer) return
    this.answer.predictions.forEach((place, i) => {
      this.#addMarker(place, i ? "alternative" : "best", i ? String(i + 1) : "★", `${i ? `${i + 1}. ` : "Best point: "}${placeName(place)}, ${chance(place)}`)
    })
    if (this.answer.gps) this.#addMarker(this.answer.gps, "gps", "◆", `The photo's own GPS: ${coordinates(this.answer.gps)}`)
    this.#separateMarkers()
  }

  #addMarker(place, kind, sign, text) {
    const element = document.createElement("div")
    element.className = `marker ${kind}`
    element.textContent = sign
    element.title = text
    const popup = new maplibregl.Popup({closeButton: false, offset: 14}).setText(text)
    const marker = new maplibregl.Marker({element}).setLngLat([place.lng, place.lat]).setPopup(popup).addTo(this.map)
    element.removeAttribute("tabindex") // the list beside the map says the same and takes the keyboard
    element.removeAttribute("role")
    element.removeAttribute("aria-label")
    element.setAttribute("aria-hidden", "true")
    this.markers.push({marker, element, kind})
  }

  // Of alternatives that touch a better place only the better one is shown.
  #separateMarkers() {
    const taken = []
    for (const {marker, element, kind} of this.markers) {
      const {x, y} = this.map.project(marker.getLngLat())
      const hidden = kind === "alternative" && taken.some(other => Math.hypot(other.x - x, other.y - y) < TOUCHING_PIXELS)
      element.classList.toggle("hidden", hidden)
      if (!hidden) taken.push({x, y})
    }
  }

  #tellCells() {
    const popup = new maplibregl.Popup({closeButton: false, closeOnClick: false, className: "cell-popup", maxWidth: "260px"})
    this.map.on("mousemove", "cells", event => {
      if (!this.map.dragPan.isEnabled()) return popup.remove() // something is being drawn
      const finest = event.features.reduce((a, b) => (b.properties.resolution > a.properties.resolution ? b : a)).properties
      const divided = finest.probability - finest.rest > 1e-9
      const text = divided ? `${percent(finest.rest)} outside finer cells, ${percent(finest.probability)} in all` : percent(finest.probability)
      popup.setLngLat(event.lngLat).setText(`${text} · cell ${finest.cell}`).addTo(this.map)
    })
    this.map.on("mouseleave", "cells", () => popup.remove())
  }
}
