// Sound: what came of it, how it is played while it comes, and files of it.

export const RATE = 24000; // samples a second, mono
const LEAD = 0.05; // seconds from the first block to its sound
const AHEAD = 4; // seconds handed to the sound card in advance: a hidden page may wake only once a second
export const POINT = 240; // samples a point of the waveform
const VOICE_SECONDS = 30; // of a recording, that the server listens to

/** What was received: 16-bit samples, and their peaks for the waveform. */
export class Sound {
  samples = new Int16Array(30 * RATE);
  length = 0;
  peaks = []; // 0 .. 1, one a point
  over = false; // no more will come
  began = performance.now();
  first = 0; // ms from then to the first sample, and to the last
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

/** Samples as a WAV file. */
export function wav(samples) {
  const size = 2 * samples.length;
  const header = new DataView(new ArrayBuffer(44));
  const words = { 0: "RIFF", 8: "WAVE", 12: "fmt ", 36: "data" };
  const longs = { 4: 36 + size, 16: 16, 24: RATE, 28: 2 * RATE, 40: size };
  const shorts = { 20: 1, 22: 1, 32: 2, 34: 16 }; // PCM, mono, bytes a sample, bits a sample
  for (const [at, word] of Object.entries(words)) [...word].forEach((letter, i) => header.setUint8(+at + i, letter.charCodeAt()));
  for (const [at, value] of Object.entries(longs)) header.setUint32(at, value, true);
  for (const [at, value] of Object.entries(shorts)) header.setUint16(at, value, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

/**
 * Plays a Sound that may still be growing. Its pieces are put end to end on the sound card's clock, counted in samples, so
 * that there is no seam. (An AudioWorklet would do this too, but browsers want https for it, which few have at home.)
 */
export class Player {
  sound = new Sound();
  playing = false;
  start = 0; // the sample from which it has played without a break
  next = 0; // the first sample that is not on the card yet
  due = 0; // its time, in samples of the card's clock; 0 while nothing is on the card
  hold = 0; // samples to wait for before going on: none at first, then more each time that the server is late
  sources = new Set();

  constructor(ended) {
    this.ended = ended;
  }

  /** Whether it would go on if it could. */
  get late() {
    return this.playing && !this.due && !this.sound.over;
  }

  /** The sample that is heard now. */
  get position() {
    if (!this.due) return this.next;
    const heard = Math.floor(this.next - this.due + this.context.currentTime * RATE);
    return Math.max(this.start, Math.min(this.next, heard));
  }

  /** To be called in answer to a key or a click: that is when browsers let a page make sound. */
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

  /** Put on the card what has come, up to AHEAD. */
  pump() {
    if (!this.playing) return;
    const { context, sound } = this;
    const now = context.currentTime * RATE;
    const backlog = sound.length - this.next;
    if (this.due && this.due <= now) {
      this.due = 0;
      if (!backlog && !sound.over) this.hold = Math.min(2 * this.hold || RATE, 8 * RATE);
    }
    if (!this.due && !backlog && sound.over) {
      this.pause();
      this.next = 0;
      return this.ended();
    }
    if (!this.due && backlog && (backlog >= this.hold || sound.over)) {
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

/** A recording as the server takes it, a data: URL: its start as a WAV, or the file itself if this browser knows no such sound. */
export async function recording(file) {
  const decoder = new OfflineAudioContext(1, 1, RATE); // it decodes to its own rate
  const sound = await decoder.decodeAudioData(await file.arrayBuffer()).catch(() => null);
  return new Promise((resolve, reject) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: () => reject(reader.error) });
    reader.readAsDataURL(sound ? wav(mono(sound, VOICE_SECONDS * RATE)) : file);
  });
}

/** The mean of the channels, of at most so many samples: an Int16Array. */
function mono(sound, most) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  const mean = (i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
  const sample = (_, i) => Math.round(Math.max(-32768, Math.min(32767, mean(i) * 32768)));
  return Int16Array.from({ length: Math.min(sound.length, most) }, sample);
}
