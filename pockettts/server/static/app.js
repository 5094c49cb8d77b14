// The page of `pockettts serve`: requests speech from the server, and plays it while it arrives.

import { Player, RATE, recording, Sound, wav } from "./sound.js";
import { Reading } from "./reading.js";
import { Wave } from "./wave.js";

const KNOBS = ["speed", "temperature", "lsd_steps", "eos_threshold", "noise_clamp", "seed"];
const MAX_RECORDING = 100; // MB

const $ = (id) => document.getElementById(id);

// --- server ---------------------------------------------------------------------------------------------------------------

/** An error with a message for people. */
class UserError extends Error {
  constructor(words, status) {
    super(words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : "."));
    this.status = status;
  }
}

/** The response to a request. Throws UserError for an error, or AbortError. */
async function requestApi(path, options = {}) {
  const key = $("key").value;
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers }).catch((error) => {
    throw error.name === "AbortError" ? error : new UserError("The server can’t be reached: is it still running?");
  });
  if (response.ok) return response;
  if (response.status === 401) throw new UserError(key ? "The server does not take this API key." : "This server wants an API key.", 401);
  const error = (await response.json().catch(() => null))?.error; // a string, or an object as OpenAI sends
  const words = error?.message ?? error;
  throw new UserError(words && typeof words === "string" ? words : `the server answered ${response.status}`);
}

/** Parse the lines of a streamed response as they arrive: { samples: Int16Array, words: [{ word, start_time, end_time }] }. */
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = ""; // the start of an incomplete line
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new UserError("The speech broke off, since the server stopped sending. What came is kept.");
    });
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) {
      const { audio, timestamps } = JSON.parse(line);
      const bytes = Uint8Array.from(atob(audio), (character) => character.charCodeAt());
      yield { samples: new Int16Array(bytes.buffer), words: timestamps };
    }
  }
}

// --- storage ------------------------------------------------------------------------------------------------------------

/** Store a value for the next visit, if the browser allows it. */
function remember(name, value, storage = "localStorage") {
  try {
    window[storage].setItem(`pockettts.${name}`, value);
  } catch {
    // blocked or full: the value is not stored
  }
}

function recall(name, storage = "localStorage") {
  try {
    return window[storage].getItem(`pockettts.${name}`);
  } catch {
    return null;
  }
}

// --- page -----------------------------------------------------------------------------------------------------------------

const wave = new Wave($("wave"));
const reading = new Reading($("text"), $("reading"));
const player = new Player(() => end($("error").textContent ? "" : "Done."));
let request = null; // AbortController of the speech that is being received
let recorded = null; // { name, sound }: the recording, as a data: URL
let outcome = ""; // the message about the last action
let drawing = false;

const model = () => $("models").value;
const voice = () => document.querySelector("#names :checked")?.value ?? "";
const busy = () => Boolean(request || player.playing);
const changedKnobs = () => KNOBS.filter((id) => $(id).value);
const clock = (samples) => `${Math.floor(samples / RATE / 60)}:${((samples / RATE) % 60).toFixed(1).padStart(4, "0")}`;

async function speak() {
  stop();
  fail("");
  const text = $("text").value.trim();
  if (!text) {
    $("text").focus();
    return fail("Write something to say.");
  }
  if ($("knobs").querySelector(":invalid")) $("knobs").open = true;
  if (!$("form").reportValidity()) return;
  const mine = (request = new AbortController());
  const sound = new Sound();
  wave.span = Math.max(2, text.length / 15) * RATE; // an estimate until the length is known
  player.load(sound);
  player.wake();
  reading.load(text);
  render();
  try {
    for await (const { samples, words } of lines(await speech(text, mine.signal))) {
      if (mine.signal.aborted) return;
      reading.push(words);
      if (!samples.length) continue;
      sound.push(samples);
      if (sound.length === samples.length) player.play();
      player.pump();
    }
    if (!sound.length) throw new UserError("The server sent no sound.");
  } catch (error) {
    if (!mine.signal.aborted) fail(error);
  } finally {
    sound.complete = true;
    if (request === mine) request = null;
    render();
  }
}

/** Request the speech of a text, with the current voice and settings. Throws like `requestApi`. */
function speech(text, signal) {
  const knobs = Object.fromEntries(changedKnobs().map((id) => [id, Number($(id).value)]));
  const body = { input: text, voice: voice() === RECORDED ? recorded.sound : voice(), model: model(), response_format: "pcm", ...knobs };
  return requestApi("dev/captioned_speech", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
}

function stop() {
  if (!busy()) return;
  request?.abort();
  request = null;
  player.pause();
  end("Stopped.");
}

function end(words) {
  outcome = words;
  render();
}

/** Show an error, a message or an exception; "" clears it. */
function fail(error) {
  if (error instanceof Error && !(error instanceof UserError)) console.error(error); // a bug of this page
  outcome = "";
  $("error").textContent = error.message ?? error;
  if (error.status === 401) {
    $("key-row").hidden = false;
    $("key").focus();
  }
  render();
}

function seek(sample, play = player.playing) {
  if (!player.sound.complete || !player.sound.length) return;
  const to = Math.max(0, Math.min(player.sound.length - 1, sample));
  player.pause();
  if (play) player.play(to);
  else player.next = to;
  render();
}

function toggle() {
  if (player.playing) player.pause();
  else player.play();
  outcome = player.playing ? "" : "Paused.";
  render();
}

function download() {
  const words = $("text").value.slice(0, 40).match(/[\p{L}\p{N}]+/gu) ?? ["speech"];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wav(player.sound.part()));
  link.download = `${words.join("-").toLowerCase()}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Update the page. While something is playing, it is updated again for every frame. */
function render() {
  const { sound, position, playing } = player;
  const write = (id, words) => $(id).textContent === words || ($(id).textContent = words);
  const zoomed = wave.zoom(sound.complete && sound.length ? sound.length : Math.max(wave.span, sound.length));
  wave.draw(sound, position, request && !sound.length);
  reading.show(playing ? position / RATE : null);
  write("time", clock(position));
  write("ttfa", sound.length ? `${Math.round(sound.first)} ms` : "–");
  write("rtf", sound.length ? (sound.last / 1000 / sound.seconds).toFixed(3) : "–");
  write("seconds", sound.length ? `${sound.seconds.toFixed(1)} s` : "–");
  write("status", request && !sound.length ? "Waiting for the first sound …" : player.late ? "Waiting for more …" : playing ? "Speaking." : outcome);
  write("changed", changedKnobs().length ? `${changedKnobs().length} changed` : "");
  write("speak-word", busy() ? "Stop" : "Speak");
  $("speak").classList.toggle("busy", busy());
  $("play").classList.toggle("playing", playing);
  $("play").disabled = !sound.length;
  $("play").ariaLabel = playing ? "Pause" : "Play";
  $("download").disabled = !sound.complete || !sound.length;
  $("wave").ariaDisabled = String($("download").disabled);
  $("wave").ariaValueMax = Math.floor(sound.seconds);
  $("wave").ariaValueNow = Math.floor(position / RATE);
  if (!drawing && (busy() || !zoomed)) {
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      render();
    });
  }
}

// --- voices ---------------------------------------------------------------------------------------------------------------

const RECORDED = "/recording"; // value of its entry in the list; not a valid voice name

function addVoice(value, name, checked) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "voice", value, checked });
  const span = Object.assign(document.createElement("span"), { textContent: name });
  label.append(input, span);
  $("names").append(label);
}

async function loadVoices() {
  try {
    const models = (await (await requestApi("v1/models")).json()).data.map(({ id }) => id);
    const chosen = model() || recall("model");
    $("model").textContent = models.length > 1 ? "" : models[0];
    $("models").hidden = models.length < 2;
    $("models").replaceChildren(...models.map((name) => new Option(name, name, false, name === chosen)));
    const { voices } = await (await requestApi(`v1/audio/voices?model=${encodeURIComponent(model())}`)).json();
    const wanted = voice() || recall("voice");
    $("names").replaceChildren();
    if (!voices.some((each) => each.default)) addVoice("", "the server’s own", true);
    const known = voices.some(({ id }) => id === wanted);
    for (const { id, name, default: own } of voices) addVoice(id, name.replaceAll("_", " "), known ? id === wanted : own);
    if (recorded) addVoice(RECORDED, recorded.name, wanted === RECORDED);
  } catch (error) {
    fail(error);
  }
}

/** Use a chosen or dropped recording as the voice. */
async function take(file) {
  fail("");
  if (file.size > MAX_RECORDING * 1e6) return fail(`${file.name} has more than ${MAX_RECORDING} MB: ten seconds are enough.`);
  const name = file.name.replace(/\.\w+$/, "");
  try {
    recorded = { name, sound: await recording(file) };
  } catch {
    return fail(`${file.name} can’t be read.`);
  }
  document.querySelector(`#names [value="${RECORDED}"]`)?.parentElement.remove();
  addVoice(RECORDED, name, true);
  end(`Speaks like ${name} from now on.`);
}

// --- events -----------------------------------------------------------------------------------------------------------

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy()) stop();
  else speak();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    speak();
  }
});
$("play").addEventListener("click", toggle);
$("download").addEventListener("click", download);
$("wave").addEventListener("click", (event) => seek(wave.sampleAt(event.clientX), true));
$("wave").addEventListener("keydown", (event) => {
  const { position, sound } = player;
  const to = { ArrowLeft: position - RATE, ArrowRight: position + RATE, Home: 0, End: sound.length }[event.key];
  if (to !== undefined) seek(to);
  if (event.key === " " && sound.length) toggle();
  if (to !== undefined || event.key === " ") event.preventDefault();
});

$("file").addEventListener("change", () => {
  if ($("file").files.length) take($("file").files[0]);
  $("file").value = ""; // so that the same file can be chosen again
});
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    $("drop").classList.toggle("over", type === "dragover" || Boolean(type === "dragleave" && event.relatedTarget)); // within the page
    if (type === "drop") take(event.dataTransfer.files[0]);
  });
}

for (const id of ["text", ...KNOBS]) {
  $(id).value = recall(id) ?? $(id).value;
  $(id).addEventListener("input", () => {
    remember(id, $(id).value);
    render();
  });
}
$("models").addEventListener("change", () => {
  remember("model", model());
  loadVoices();
});
$("names").addEventListener("change", () => voice() !== RECORDED && remember("voice", voice()));
$("reset").addEventListener("click", () => {
  for (const id of KNOBS) {
    $(id).value = "";
    remember(id, "");
  }
  render();
});
$("key").value = recall("key", "sessionStorage") ?? "";
$("key").addEventListener("change", () => {
  remember("key", $("key").value, "sessionStorage");
  fail("");
  loadVoices();
});

if (/Mac|iPhone|iPad/.test(navigator.platform)) $("speak-key").textContent = "⌘ ↵";
new ResizeObserver(render).observe($("wave"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
loadVoices();
