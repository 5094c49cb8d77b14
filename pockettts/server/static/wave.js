// The waveform.

import { POINT, RATE } from "./sound.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Draws a bar for each received part, in the accent color if it was played, and dots for the rest. */
export class Wave {
  span = 6 * RATE; // samples that the width stands for

  constructor(canvas) {
    this.canvas = canvas;
  }

  /** The sample at a horizontal position of the page. */
  sampleAt(x) {
    const box = this.canvas.getBoundingClientRect();
    return Math.floor(((x - box.left) / box.width) * this.span);
  }

  /** Move the width one step toward `span` samples. Returns whether it is reached. */
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
    const points = span / POINT / bars; // per bar
    const now = performance.now();
    for (let bar = 0; bar < bars; bar++) {
      const from = Math.floor(bar * points);
      const peak = Math.max(...sound.peaks.slice(from, Math.max(from + 1, Math.floor((bar + 1) * points))));
      const received = peak >= 0; // the maximum of nothing is -Infinity
      const tall = received ? Math.max(2, peak ** 0.65 * height) : 2;
      const ripple = waiting && !calm.matches ? Math.max(0, Math.sin(now / 300 - bar / 8)) : 0;
      pen.fillStyle = !received ? edge : (bar + 0.5) * points * POINT < position ? accent : ink;
      pen.globalAlpha = received ? 1 : 0.45 + 0.55 * ripple;
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
