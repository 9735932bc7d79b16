// The clients for Node of four providers call what they offer for speech. Prints, as JSON, the calls that failed.
import fs from "node:fs";
import OpenAI from "openai";
import Cartesia from "@cartesia/cartesia-js";
import { DeepgramClient } from "@deepgram/sdk";
import { ElevenLabsClient } from "@elevenlabs/elevenlabs-js";

const [provider, baseURL, recordingPath] = process.argv.slice(2);
const text = "Good morning. This is a short test.";
const clip = () => fs.createReadStream(recordingPath);
const description = "A calm old man with a deep voice and a British accent";
const failures = {};

/** Read a response to its end: bytes, events, pages or a value. */
async function read(value) {
  if (value && typeof value.arrayBuffer === "function") return value.arrayBuffer();
  if (value && typeof value.stream === "function") value = value.stream();
  if (value && value[Symbol.asyncIterator]) {
    let count = 0;
    for await (const part of value) count += part === undefined ? 0 : 1;
    if (!count) throw new Error("the response is empty");
  }
  return value;
}

async function callAll(calls) {
  for (const [name, call] of Object.entries(calls)) {
    try {
      await read(await call());
    } catch (error) {
      failures[name] = String(error.message ?? error).slice(0, 300);
    }
  }
}

function listCallsOfOpenAI() {
  const client = new OpenAI({ baseURL, apiKey: "surface", maxRetries: 0 });
  return {
    speech: () => client.audio.speech.create({ model: "tts-1", input: text, voice: "alloy" }),
    transcription: () => client.audio.transcriptions.create({ model: "whisper-1", file: clip() }),
    translation: () => client.audio.translations.create({ model: "whisper-1", file: clip() }),
    models: () => client.models.list(),
    model: () => client.models.retrieve("tts-1"),
    consents: () => client.audio.voiceConsents.list(),
    consent: () => client.audio.voiceConsents.retrieve("cons_1234"),
    updateConsent: () => client.audio.voiceConsents.update("cons_1234", { name: "Ben" }),
    deleteConsent: () => client.audio.voiceConsents.delete("cons_1234"),
  };
}

function listCallsOfDeepgram() {
  const environment = { base: baseURL, production: baseURL, agent: baseURL, agentRest: baseURL };
  const client = new DeepgramClient({ apiKey: "surface", environment, maxRetries: 0 });
  const manage = client.manage.v1;
  const project = async () => (await manage.projects.list()).projects[0].project_id;
  return {
    speech: () => client.speak.v1.audio.generate({ text }),
    turns: () => client.speak.v2.audio.generate({ text, model: "flux-haley-en" }),
    transcription: () => client.listen.v1.media.transcribeFile(clip(), { model: "nova-3" }),
    models: () => manage.models.list(),
    model: async () => manage.models.get((await manage.models.list()).tts[0].uuid),
    projects: () => manage.projects.list(),
    projectModels: async () => manage.projects.models.list(await project()),
    projectModel: async () => {
      const id = await project();
      return manage.projects.models.get(id, (await manage.projects.models.list(id)).tts[0].uuid);
    },
  };
}

async function listCallsOfCartesia() {
  const client = new Cartesia({ baseURL, apiKey: "surface", maxRetries: 0 });
  const voice = "f786b574-daa5-4673-aa0c-cbe3e8534c02";
  const wav = { container: "wav", encoding: "pcm_s16le", sample_rate: 24000 };
  const speech = { model_id: "sonic-3", transcript: text, voice: { mode: "id", id: voice } };
  const changed = {
    "voice[id]": voice,
    "output_format[container]": "wav",
    "output_format[encoding]": "pcm_s16le",
    "output_format[sample_rate]": 24000,
  };
  const { id } = await client.voices.clone({ clip: clip(), name: "Anna", language: "en" });
  const words = (await client.pronunciationDicts.create({ name: "Names", items: [{ text: "GIF", alias: "jif" }] })).id;
  return {
    speech: () => client.tts.generate({ ...speech, output_format: wav }),
    events: () => client.tts.generateSSE({ ...speech, output_format: { ...wav, container: "raw" } }),
    infill: () =>
      client.tts.infill({
        left_audio: clip(),
        model_id: "sonic-3",
        language: "en",
        transcript: "and",
        voice_id: voice,
        output_format: wav,
      }),
    transcription: () => client.stt.transcribe({ file: clip(), model: "ink-whisper", language: "en" }),
    changed: () => client.voiceChanger.generate({ clip: clip(), ...changed }),
    changedEvents: () => client.voiceChanger.generateSSE({ clip: clip(), ...changed }),
    voices: () => client.voices.list(),
    voice: () => client.voices.get(id),
    update: () => client.voices.update(id, { name: "Ben", description: "A voice" }),
    localize: () => client.voices.localize({ voice_id: id, name: "Anne", accent: "parisian", language: "fr" }),
    delete: () => client.voices.delete(id),
    dictionaries: () => client.pronunciationDicts.list(),
    dictionary: () => client.pronunciationDicts.retrieve(words),
    updateDictionary: () => client.pronunciationDicts.update(words, { name: "Words" }),
    deleteDictionary: () => client.pronunciationDicts.delete(words),
  };
}

async function listCallsOfElevenLabs() {
  const client = new ElevenLabsClient({ apiKey: "surface", baseUrl: baseURL, environment: baseURL, maxRetries: 0 });
  const { voices, dubbing, history, pronunciationDictionaries: words } = client;
  const voice = (await voices.search()).voices[0].voiceId;
  const dictionary = "21m00Tcm4TlvDq8ikWAM";
  const sample = "VW7YKqPnjY4h39yTbx2L";
  const rules = [{ type: "alias", stringToReplace: "GIF", alias: "jif" }];
  const inputs = [{ text, voiceId: voice }];
  const changed = () => ({ audio: clip(), modelId: "eleven_multilingual_sts_v2" });
  const item = (await history.list()).history[0].historyItemId;
  const dub = (await dubbing.list()).dubs[0].dubbingId;
  const made = (await voices.ivc.create({ name: "Anna", files: [clip()] })).voiceId;
  const own = (await voices.pvc.create({ name: "Anna", language: "en" })).voiceId;
  const shared = (await voices.getShared()).voices[0].publicOwnerId;
  return {
    speech: () => client.textToSpeech.convert(voice, { text }),
    stream: () => client.textToSpeech.stream(voice, { text }),
    timestamps: () => client.textToSpeech.convertWithTimestamps(voice, { text }),
    streamTimestamps: () => client.textToSpeech.streamWithTimestamps(voice, { text }),
    dialogue: () => client.textToDialogue.convert({ inputs }),
    dialogueStream: () => client.textToDialogue.stream({ inputs }),
    dialogueTimestamps: () => client.textToDialogue.convertWithTimestamps({ inputs }),
    dialogueStreamTimestamps: () => client.textToDialogue.streamWithTimestamps({ inputs }),
    changed: () => client.speechToSpeech.convert(voice, changed()),
    changedStream: () => client.speechToSpeech.stream(voice, changed()),
    isolated: () => client.audioIsolation.convert({ audio: clip() }),
    isolatedStream: () => client.audioIsolation.stream({ audio: clip() }),
    isolations: () => client.audioIsolation.list(),
    sound: () => client.textToSoundEffects.convert({ text: "A door closes", durationSeconds: 1 }),
    transcription: () => client.speechToText.convert({ modelId: "scribe_v2", file: clip() }),
    transcript: () => client.speechToText.transcripts.get("jkYQxAJaMGpGzLxV5r9m"),
    deleteTranscript: () => client.speechToText.transcripts.delete("jkYQxAJaMGpGzLxV5r9m"),
    alignment: () => client.forcedAlignment.create({ file: clip(), text }),
    design: () => client.textToVoice.design({ voiceDescription: description, autoGenerateText: true }),
    previews: () => client.textToVoice.createPreviews({ voiceDescription: description, autoGenerateText: true }),
    remix: () => client.textToVoice.remix(voice, { voiceDescription: "A voice with a higher pitch" }),
    preview: () => client.textToVoice.preview.stream("37HceQefKmEi3bGovXjL"),
    models: () => client.models.list(),
    subscription: () => client.user.subscription.get(),
    history: () => history.list(),
    item: () => history.get(item),
    itemAudio: () => history.getAudio(item),
    deleteItem: () => history.delete(item),
    allVoices: () => voices.getAll(),
    voice: () => voices.get(made),
    update: () => voices.update(made, { name: "Ben" }),
    defaultSettings: () => voices.settings.getDefault(),
    settings: () => voices.settings.get(made),
    updateSettings: () => voices.settings.update(made, { stability: 0.4 }),
    delete: () => voices.delete(made),
    accents: () => voices.accents.get(),
    similar: () => voices.findSimilarVoices({ audioFile: clip() }),
    share: () => voices.share(shared, voice, { newName: "Anna" }),
    sampleAudio: () => voices.samples.audio.get(voice, sample),
    deleteSample: () => client.samples.delete(voice, sample),
    updateOwn: () => voices.pvc.update(own, { name: "Ben" }),
    addSamples: () => voices.pvc.samples.create(voice, { files: [clip()] }),
    updateSample: () => voices.pvc.samples.update(voice, sample, { removeBackgroundNoise: true }),
    ownSampleAudio: () => voices.pvc.samples.audio.get(voice, sample),
    deleteOwnSample: () => voices.pvc.samples.delete(voice, sample),
    captcha: () => voices.pvc.verification.captcha.get(voice),
    verifyCaptcha: () => voices.pvc.verification.captcha.verify(voice, { recording: clip() }),
    verification: () => voices.pvc.verification.request(voice, { files: [clip()] }),
    train: () => voices.pvc.train(voice),
    dictionaries: () => words.list(),
    dictionary: () => words.get(dictionary),
    updateDictionary: () => words.update(dictionary, { name: "Words" }),
    addRules: () => words.rules.add(dictionary, { rules }),
    setRules: () => words.rules.set(dictionary, { rules }),
    removeRules: () => words.rules.remove(dictionary, { ruleStrings: ["GIF"] }),
    download: () => words.download(dictionary, "5xM3yVvZQKV0EfqQpLrJ"),
    dub: () => dubbing.get(dub),
    dubAudio: () => dubbing.audio.get(dub, "es"),
    dubTranscript: () => dubbing.transcript.getTranscriptForDub(dub, "es", { formatType: "json" }),
    deleteDub: () => dubbing.delete(dub),
  };
}

const list = {
  openai: listCallsOfOpenAI,
  deepgram: listCallsOfDeepgram,
  cartesia: listCallsOfCartesia,
  elevenlabs: listCallsOfElevenLabs,
}[provider];
await callAll(await list());
console.log(JSON.stringify(failures));
