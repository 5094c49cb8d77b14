// The waveform.

import { POINT, RATE } from "./sound.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Dots for what may come, bars for what has, in the accent where it was heard. */
export class Wave {
  span = 6 * RATE; // samples that the width stands for

  constructor(canvas) {
    this.canvas = canvas;
  }

  /** The sample under a point of the page. */
  sampleAt(x) {
    const box = this.canvas.getBoundingClientRect();
    return Math.floor(((x - box.left) / box.width) * this.span);
  }

  /** A step toward a width of so many samples. Returns whether that is reached. */
  zoom(span) {
    const step = (span - this.span) / 6;
    this.span = calm.matches || Math.abs(step) < span / 1000 ? span : this.span + step;
    return this.span === span;
  }

  draw(sound, position, waiting) {
    const { canvas, span } = this;
    const pen = canvas.getContext("2d");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const [wide, high] = [width, height].map((pixels) => Math.round(pixels * devicePixelRatio));
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    pen.setTransform(wide / width, 0, 0, high / height, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const [ink, edge, accent] = ["--ink", "--edge", "--accent"].map((name) => style.getPropertyValue(name));
    const bars = Math.floor(width / 4);
    const points = span / POINT / bars; // a bar
    const now = performance.now();
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor(bar * points);
      const peak = Math.max(...sound.peaks.slice(from, Math.max(from + 1, Math.floor((bar + 1) * points))));
      const came = peak >= 0; // of nothing, the largest is -Infinity
      const tall = came ? Math.max(2, peak ** 0.65 * height) : 2;
      const ripple = waiting && !calm.matches ? Math.max(0, Math.sin(now / 300 - bar / 8)) : 0;
      pen.fillStyle = !came ? edge : (bar + 0.5) * points * POINT < position ? accent : ink;
      pen.globalAlpha = came ? 1 : 0.45 + 0.55 * ripple;
      pen.beginPath();
      pen.roundRect((bar * width) / bars + 1, (height - tall) / 2, 2, tall, 1);
      pen.fill();
    }
    if (position > 0) {
      pen.globalAlpha = 1;
      pen.fillStyle = accent;
      pen.fillRect(Math.min(width - 1, (position / span) * width), 0, 1, height);
    }
  }
}
