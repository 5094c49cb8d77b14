// The word that is spoken, marked in the text.

/** Marks words in `layer`, which lies behind `field`, a textarea, and has the same text in the same places. */
export class Reading {
  text = ""; // what is spoken
  words = []; // { start, end } in seconds, { from, to } in the text
  marked = null;

  constructor(field, layer) {
    this.field = field;
    this.layer = layer;
    field.addEventListener("scroll", () => (layer.scrollTop = field.scrollTop));
  }

  load(text) {
    this.text = text;
    this.words = [];
    this.show(null);
  }

  /** Add words that were found, in the order of the text. Those that are not in it as they are, such as numbers, have no place. */
  push(words) {
    for (const { word, start_time: start, end_time: end } of words) {
      let to = this.words.at(-1)?.to ?? 0;
      let from = null;
      for (const part of word.split(/\s+/)) { // a model that does not know its words gives a sentence as one
        const at = this.text.indexOf(part, to);
        if (at < 0 || at > to + word.length + 200) continue;
        from ??= at;
        to = at + part.length;
      }
      if (from !== null) this.words.push({ start, end, from, to });
    }
  }

  /** Mark the word of this time, in seconds; null: none. */
  show(seconds) {
    const offset = this.field.value.indexOf(this.text);
    const spoken = seconds === null || offset < 0 ? null : this.words.findLast(({ start }) => start <= seconds) ?? null;
    if (spoken === this.marked) return;
    this.marked = spoken;
    if (!spoken) return this.layer.replaceChildren();
    const { value } = this.field;
    const [from, to] = [offset + spoken.from, offset + spoken.to];
    const mark = Object.assign(document.createElement("mark"), { textContent: value.slice(from, to) });
    this.layer.replaceChildren(value.slice(0, from), mark, value.slice(to));
    const top = mark.offsetTop - this.layer.offsetTop;
    const { scrollTop, clientHeight } = this.field;
    if (top < scrollTop || top + mark.offsetHeight > scrollTop + clientHeight) this.field.scrollTop = top - clientHeight / 3;
    this.layer.scrollTop = this.field.scrollTop;
  }
}
