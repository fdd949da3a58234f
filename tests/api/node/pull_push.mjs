// The npm ollama client fetches a model and sends it on. Arguments: the server, an API key for it, the name to pull, the name to
// push under. Prints one JSON object of what it saw.
import { Ollama } from 'ollama'

const [host, key, source, target] = process.argv.slice(2)
const client = new Ollama({ host, headers: { Authorization: `Bearer ${key}` } })
const seen = {}

const frames = async (stream) => {
  const all = []
  for await (const frame of await stream) all.push(frame)
  return all
}

const failure = async (reply) => {
  try {
    await reply
  } catch (error) {
    return error.message
  }
}

const names = async () => (await client.list()).models.map((model) => model.name)

seen.pull = await frames(client.pull({ model: source, insecure: true, stream: true }))
seen.again = await client.pull({ model: source, insecure: true })
seen.missing = await failure(frames(client.pull({ model: `${source}-nope`, insecure: true, stream: true })))
seen.create = await frames(client.create({ model: 'by-npm', from: source, system: 'Be brief.', stream: true }))
seen.show = (await client.show({ model: 'by-npm' })).system
seen.copy = await client.copy({ source: 'by-npm', destination: target })
seen.push = await frames(client.push({ model: target, insecure: true, stream: true }))
seen.list = await names()
seen.delete = await client.delete({ model: 'by-npm' })
seen.left = await names()
seen.gone = await failure(client.show({ model: 'by-npm' }))
console.log(JSON.stringify(seen))
