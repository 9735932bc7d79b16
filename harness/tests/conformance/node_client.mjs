// OpenAI's Node client: speech to a file, speech as a stream of events, and an error. Prints what it got as JSON.
import fs from "node:fs";
import OpenAI, { BadRequestError } from "openai";

const [baseURL, file] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "sk-node-0123456789abcdef", maxRetries: 0 });
const speech = { model: "gpt-4o-mini-tts", voice: "alloy", input: "Good morning. This is a short test." };

const whole = await client.audio.speech.create({ ...speech, response_format: "wav" });
await fs.promises.writeFile(file, Buffer.from(await whole.arrayBuffer()));

const streamed = await client.audio.speech.create({ ...speech, response_format: "pcm", stream_format: "sse" });
let events = "";
for await (const part of streamed.body) events += Buffer.from(part).toString();

let status = 0;
try {
  await client.audio.speech.create({ ...speech, voice: "nobody" });
} catch (error) {
  if (!(error instanceof BadRequestError)) throw error;
  status = error.status;
}
console.log(JSON.stringify({ events: events.split("\n\n").filter(Boolean).length, status }));
