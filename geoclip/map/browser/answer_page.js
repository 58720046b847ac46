// A file with answers: everything it shows is in it.
import {Viewer, chooserRow} from "./viewer.js"
import {verdict} from "./words.js"

const content = JSON.parse(document.getElementById("content").textContent)
const packed = Uint8Array.from(atob(document.getElementById("base").textContent), sign => sign.charCodeAt(0))
const viewer = await Viewer.open(packed)
viewer.map?.setTowns(content.towns)

const notice = document.getElementById("notice")
notice.textContent = content.notice
notice.hidden = !content.notice

const list = document.getElementById("chooser")
list.hidden = content.answers.length < 2
const buttons = content.answers.map((answer, index) => {
  const {button} = chooserRow(list, {name: answer.query, photo: content.photos[index], line: verdict(answer)})
  button.onclick = () => choose(index)
  return button
})

function say(text) {
  document.getElementById("status").textContent = text
}

function choose(index) {
  buttons.forEach((button, i) => button.setAttribute("aria-current", String(i === index)))
  buttons[index].scrollIntoView({block: "nearest"})
  viewer.show(content.answers[index], content.photos[index], say)
  say(verdict(content.answers[index]))
}

if (content.answers.length) choose(Math.max(content.answers.findIndex(answer => answer.predictions.length), 0))
else document.getElementById("answer").textContent = "There are no answers."
