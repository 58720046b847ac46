// Answers as files. GeoJSON, KML, CSV and the HTML file are written by the server, from vectors.

const TYPES = {
  geojson: "application/geo+json",
  kml: "application/vnd.google-earth.kml+xml",
  csv: "text/csv",
  html: "text/html",
}
const element = id => document.getElementById(id)

// `photos` are those of the visit; `parameters` of the search are those of what is shown; `notice` stands on every page.
export function offerDownloads(service, photos, {parameters, notice, say}) {
  for (const button of document.querySelectorAll("[data-format]")) {
    button.onclick = async () => {
      const chosen = element("scope").value === "one" ? [photos.chosen] : photos.located
      const located = chosen.filter(photo => photo?.vector && photos.answerOf(photo))
      if (!located.length) return say("There is no answer to download yet.")
      button.disabled = true
      try {
        const name = located.length === 1 ? located[0].name.split("/").pop().replace(/\.\w+$/, "") : "photos"
        save(await content(button.dataset.format, located), `${name}.${button.dataset.format}`)
        say(`${name}.${button.dataset.format} was saved.`)
      } catch (error) {
        say(error.message)
      } finally {
        button.disabled = false
      }
    }
  }

  async function content(format, located) {
    const answers = located.map(photo => photos.answerOf(photo))
    if (format === "json") return new Blob([JSON.stringify({answers}, null, 1)], {type: "application/json"})
    const response = await service.search(located.map(photo => photo.vector), located.map(photo => photo.name), parameters(), TYPES[format])
    if (format !== "html") return response.blob()
    const html = filled(await response.text(), {answers: answers.map(withoutPath), photos: located.map(photo => photo.thumbnail), notice: notice()})
    return new Blob([html], {type: "text/html"})
  }
}

// Of the index only its folder's own name, as in a file of `geoclip locate --map`.
function withoutPath(answer) {
  const index = answer.searched.index.split("/").filter(Boolean).pop() ?? ""
  return {...answer, searched: {...answer.searched, index}}
}

// The file with the page's own answers: they have the photos' GPS and small pictures, which the server does not know.
function filled(html, own) {
  const [head, tail] = ['<script type="application/json" id="content">', "</script>"]
  const start = html.indexOf(head) + head.length
  const end = html.indexOf(tail, start)
  const all = {...JSON.parse(html.slice(start, end)), ...own}
  return html.slice(0, start) + JSON.stringify(all).replaceAll("<", "\\u003c") + html.slice(end)
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name})
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
