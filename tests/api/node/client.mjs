// The npm ollama client against the server named by the first argument. Prints one JSON object of what it saw.
import { Ollama } from 'ollama'

const client = new Ollama({ host: process.argv[2] })
const options = { temperature: 0, seed: 1, num_predict: 24 }
const messages = [{ role: 'user', content: 'Hello!' }]
const seen = {}

const joined = async (stream, pick) => {
  let text = ''
  let last
  for await (const part of stream) {
    text += pick(part)
    last = part
  }
  return { text, done: last.done, reason: last.done_reason, count: last.eval_count }
}

const once = (reply, pick) => ({ text: pick(reply), done: reply.done, reason: reply.done_reason, count: reply.eval_count })

const chatText = (part) => part.message.content
const generateText = (part) => part.response

const chat = { model: 'starter', messages, options, think: false }
const generate = { model: 'starter', prompt: 'Hello!', options, think: false }
seen.chat = once(await client.chat(chat), chatText)
seen.chatStream = await joined(await client.chat({ ...chat, stream: true }), chatText)
seen.generate = once(await client.generate(generate), generateText)
seen.generateStream = await joined(await client.generate({ ...generate, stream: true }), generateText)
seen.list = (await client.list()).models.map((model) => model.name)
seen.ps = (await client.ps()).models.map((model) => model.name)
try {
  await client.chat({ ...chat, model: 'nope' })
} catch (error) {
  seen.missing = { status: error.status_code, text: error.message }
}
const stream = await client.chat({ ...chat, messages: [{ role: 'user', content: 'Count from 1 to 500.' }], options: {}, stream: true })
try {
  for await (const part of stream) {
    if (part.message.content) stream.abort()
  }
} catch (error) {
  seen.aborted = error.name
}
console.log(JSON.stringify(seen))
