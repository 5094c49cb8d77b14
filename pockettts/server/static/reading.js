// Highlights the spoken word in the text.

/** Highlights words in `layer`, an element behind the textarea `field` with the same text and layout. */
export class Reading {
  text = ""; // the spoken text
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

  /** Add words with their times, in the order of the text. Words that are not found in the text are skipped. */
  push(words) {
    for (const { word, start_time: start, end_time: end } of words) {
      let to = this.words.at(-1)?.to ?? 0;
      let from = null;
      for (const part of word.split(/\s+/)) { // a model without times of words sends whole sentences
        const at = this.text.indexOf(part, to);
        if (at < 0 || at > to + word.length + 200) continue;
        from ??= at;
        to = at + part.length;
      }
      if (from !== null) this.words.push({ start, end, from, to });
    }
  }

  /** Highlight the word at a time in seconds; null: none. */
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
