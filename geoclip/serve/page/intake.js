// Photos from the file chooser, a folder, the camera, the clipboard, or dropped.

const SUFFIXES = /\.(jpe?g|jfif|png|webp|gif|bmp|dib|tiff?|ppm|pgm|pbm|pnm|jp2|j2k|jpx|avif|heic|heif|hif)$/i
const element = id => document.getElementById(id)

// `onFiles` is told [{file, name}], and how many files of folders were passed over because they are not photos.
export function listenForPhotos(onFiles) {
  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"], ["take-photo", "camera"]]) {
    element(button).onclick = () => element(input).click()
    element(input).onchange = event => {
      const files = [...event.target.files]
      const photos = input === "folder" ? files.filter(file => SUFFIXES.test(file.name)) : files
      onFiles(photos.map(file => ({file, name: file.webkitRelativePath || file.name})), files.length - photos.length)
      event.target.value = "" // the same file can be chosen again
    }
  }
  document.addEventListener("paste", event => {
    const files = [...event.clipboardData.files]
    if (!files.length) return
    event.preventDefault()
    onFiles(files.map(file => ({file, name: file.name || "pasted picture"})), 0)
  })
  listenForDrops(onFiles)
}

function listenForDrops(onFiles) {
  let depth = 0
  const mark = by => {
    depth = by ? depth + by : 0
    document.body.classList.toggle("dropping", depth > 0)
  }
  const hasFiles = event => [...event.dataTransfer.types].includes("Files")
  document.addEventListener("dragenter", event => hasFiles(event) && mark(1))
  document.addEventListener("dragleave", event => hasFiles(event) && mark(-1))
  document.addEventListener("dragover", event => hasFiles(event) && event.preventDefault())
  document.addEventListener("drop", async event => {
    if (!hasFiles(event)) return
    event.preventDefault()
    mark(0)
    const entries = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry?.())
    const files = [...event.dataTransfer.files]
    const found = []
    let passed = 0
    for (const [i, entry] of entries.entries()) {
      if (!entry?.isDirectory) {
        if (files[i]) found.push({file: files[i], name: files[i].name})
        continue
      }
      for (const {file, name} of await filesOf(entry)) {
        if (SUFFIXES.test(name)) found.push({file, name})
        else passed += 1
      }
    }
    onFiles(found, passed)
  })
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject))
    return [{file, name: entry.fullPath.slice(1)}]
  }
  const reader = entry.createReader()
  const found = []
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)) // a hundred at a time
    if (!some.length) break
    for (const one of some) found.push(...(await filesOf(one)))
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

// A small upright copy as a data URL; null where the browser cannot read the file, as HEIC in most.
export async function thumbnail(file, pixels = 320) {
  try {
    const image = await createImageBitmap(file)
    const scale = Math.min(1, pixels / Math.max(image.width, image.height))
    const canvas = document.createElement("canvas")
    canvas.width = Math.max(1, Math.round(image.width * scale))
    canvas.height = Math.max(1, Math.round(image.height * scale))
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
    image.close()
    return canvas.toDataURL("image/jpeg", 0.8)
  } catch {
    return null
  }
}
