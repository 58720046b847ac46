// What the server is asked, and its refusals as sentences.

const TRIES = 8 // of a request while the server is busy
const LONGEST_WAIT_SECONDS = 30

export class Refusal extends Error {}

export class Service {
  // `askKey` returns a promise of a key, or of null.
  constructor(askKey) {
    this.askKey = askKey
    this.key = sessionStorage.getItem("geoclip-key")
  }

  async index() {
    return (await this.#ask("v1/index", {})).json()
  }

  // A photo's record and its vector.
  async locate(file, name, parameters) {
    const query = new URLSearchParams([...parameters, ["name", name], ["vector", "true"]])
    const headers = {Accept: "application/json", "Content-Type": file.type || "application/octet-stream"}
    const {answers, vectors} = await (await this.#ask(`v1/locate?${query}`, {method: "POST", headers, body: file})).json()
    return {answer: answers[0], vector: vectors[0]}
  }

  // The answers to vectors; `accept` other than JSON is a download.
  async search(vectors, names, parameters, accept = "application/json") {
    const headers = {Accept: accept, "Content-Type": "application/json"}
    const body = JSON.stringify({vectors, names, means: true})
    return this.#ask(`v1/search?${new URLSearchParams(parameters)}`, {method: "POST", headers, body})
  }

  async #ask(address, request) {
    for (let left = TRIES; ; left--) {
      const response = await this.#once(address, request)
      if (response.ok) return response
      if (response.status === 401 && (await this.#newKey())) continue
      if ([429, 503].includes(response.status) && left > 1) {
        const seconds = Math.min(Number(response.headers.get("Retry-After")) || 2, LONGEST_WAIT_SECONDS)
        await new Promise(resolve => setTimeout(resolve, 1000 * seconds * (0.75 + Math.random() / 2)))
        continue
      }
      throw new Refusal(await sentenceOf(response))
    }
  }

  async #once(address, request) {
    const headers = this.key ? {...request.headers, Authorization: `Bearer ${this.key}`} : request.headers
    try {
      return await fetch(address, {...request, headers})
    } catch {
      throw new Refusal("The server cannot be reached. Is geoclip serve still running?")
    }
  }

  async #newKey() {
    this.asking ??= this.askKey().finally(() => (this.asking = null)) // one dialog, however many requests wait
    this.key = await this.asking
    if (this.key) sessionStorage.setItem("geoclip-key", this.key)
    return Boolean(this.key)
  }
}

async function sentenceOf(response) {
  try {
    const problem = await response.json()
    if (typeof problem.detail === "string") return problem.detail
  } catch {
    // not a problem as the server writes them: a proxy's page, say
  }
  return `The server refused the request (${response.status}).`
}
