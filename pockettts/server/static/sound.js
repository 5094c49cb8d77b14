// Sound: the received samples, playback while they arrive, and sound files.

export const RATE = 24000; // samples per second, mono
const LEAD = 0.05; // seconds from the first block to its playback
const AHEAD = 4; // seconds scheduled in advance, because timers of a hidden page may run only once per second
export const POINT = 240; // samples per point of the waveform
const VOICE_SECONDS = 30; // the part of a recording that the server uses

/** The received 16-bit samples, and their peaks for the waveform. */
export class Sound {
  samples = new Int16Array(30 * RATE);
  length = 0;
  peaks = []; // 0 .. 1, one per point
  complete = false; // no more samples will arrive
  began = performance.now();
  first = 0; // ms from `began` to the first and to the last samples
  last = 0;

  get seconds() {
    return this.length / RATE;
  }

  push(block) {
    if (this.length + block.length > this.samples.length) {
      const larger = new Int16Array(2 * (this.length + block.length));
      larger.set(this.part());
      this.samples = larger;
    }
    this.samples.set(block, this.length);
    block.forEach((sample, i) => {
      const point = Math.floor((this.length + i) / POINT);
      this.peaks[point] = Math.max(this.peaks[point] ?? 0, Math.abs(sample) / 32768);
    });
    this.length += block.length;
    this.last = performance.now() - this.began;
    this.first ||= this.last;
  }

  part(from = 0, to = this.length) {
    return this.samples.subarray(from, Math.min(to, this.length));
  }
}

/** A WAV file of samples. */
export function wav(samples) {
  const size = 2 * samples.length;
  const header = new DataView(new ArrayBuffer(44));
  const words = { 0: "RIFF", 8: "WAVE", 12: "fmt ", 36: "data" };
  const longs = { 4: 36 + size, 16: 16, 24: RATE, 28: 2 * RATE, 40: size };
  const shorts = { 20: 1, 22: 1, 32: 2, 34: 16 }; // PCM, mono, bytes per sample, bits per sample
  for (const [at, word] of Object.entries(words)) [...word].forEach((letter, i) => header.setUint8(+at + i, letter.charCodeAt()));
  for (const [at, value] of Object.entries(longs)) header.setUint32(at, value, true);
  for (const [at, value] of Object.entries(shorts)) header.setUint16(at, value, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

/**
 * Plays a Sound, also while samples arrive. Pieces are scheduled gapless on the clock of the audio context, counted in samples.
 * (Browsers allow an AudioWorklet only with https, which local servers rarely have.)
 */
export class Player {
  sound = new Sound();
  playing = false;
  start = 0; // the first sample since playback last started or stalled
  next = 0; // the first sample that is not scheduled yet
  due = 0; // its time in samples of the audio clock; 0 while nothing is scheduled
  hold = 0; // samples to buffer before playback continues: 0 at first, more after each stall
  sources = new Set();

  constructor(ended) {
    this.ended = ended;
  }

  /** Whether playback waits for samples. */
  get late() {
    return this.playing && !this.due && !this.sound.complete;
  }

  /** The sample that is playing now. */
  get position() {
    if (!this.due) return this.next;
    const played = Math.floor(this.next - this.due + this.context.currentTime * RATE);
    return Math.max(this.start, Math.min(this.next, played));
  }

  /** Start the audio context. Call this from a key or click event, because browsers require one before sound. */
  wake() {
    this.context ??= new AudioContext({ sampleRate: RATE });
    this.context.resume();
  }

  load(sound) {
    this.pause();
    this.sound = sound;
    this.next = this.hold = 0;
  }

  play(from = this.next) {
    this.pause();
    this.wake();
    this.next = from;
    this.playing = true;
    this.timer = setInterval(() => this.pump(), 100);
    this.pump();
  }

  pause() {
    this.next = this.position;
    this.due = 0;
    this.playing = false;
    clearInterval(this.timer);
    this.sources.forEach((source) => source.stop());
    this.sources.clear();
  }

  /** Schedule the received samples, up to AHEAD seconds. */
  pump() {
    if (!this.playing) return;
    const { context, sound } = this;
    const now = context.currentTime * RATE;
    const backlog = sound.length - this.next;
    if (this.due && this.due <= now) {
      this.due = 0;
      if (!backlog && !sound.complete) this.hold = Math.min(2 * this.hold || RATE, 8 * RATE);
    }
    if (!this.due && !backlog && sound.complete) {
      this.pause();
      this.next = 0;
      return this.ended();
    }
    if (!this.due && backlog && (backlog >= this.hold || sound.complete)) {
      this.start = this.next;
      this.due = Math.ceil(now + LEAD * RATE);
    }
    while (this.due && this.next < sound.length && this.due < now + AHEAD * RATE) {
      const piece = Float32Array.from(sound.part(this.next, this.next + RATE), (sample) => sample / 32768);
      const buffer = new AudioBuffer({ length: piece.length, sampleRate: RATE });
      buffer.copyToChannel(piece, 0);
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(context.destination);
      source.onended = () => this.sources.delete(source);
      source.start(this.due / RATE);
      this.sources.add(source);
      this.next += piece.length;
      this.due += piece.length;
    }
  }
}

/** A recording as a data: URL: its start as a WAV, or the file itself if the browser can't decode it. */
export async function recording(file) {
  const decoder = new OfflineAudioContext(1, 1, RATE); // it resamples to this rate
  const sound = await decoder.decodeAudioData(await file.arrayBuffer()).catch(() => null);
  return new Promise((resolve, reject) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: () => reject(reader.error) });
    reader.readAsDataURL(sound ? wav(mono(sound, VOICE_SECONDS * RATE)) : file);
  });
}

/** The mean of the channels, at most `maxSamples`: an Int16Array. */
function mono(sound, maxSamples) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  const mean = (i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
  const sample = (_, i) => Math.round(Math.max(-32768, Math.min(32767, mean(i) * 32768)));
  return Int16Array.from({ length: Math.min(sound.length, maxSamples) }, sample);
}
