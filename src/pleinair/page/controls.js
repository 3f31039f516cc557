// The drawer: painter, brush, strength, colours. A move asks for a sketch, a release for all.

const SKETCH_AFTER = 120; // milliseconds without a move
const FULL_AFTER = 300; // milliseconds after a release, as keys release at every press

export class Controls {
  /** asked: called with a look and "sketch" or "full". */
  constructor(painters, asked) {
    this.form = document.getElementById("controls");
    this.fields = this.form.elements;
    this.painters = painters;
    this.asked = asked;
    this.usual = (painters.find((one) => one.default) ?? painters[0])?.name;
    for (const one of painters) this.fields.painter.add(new Option(one.title || one.name, one.name));
    document.getElementById("painter-control").hidden = painters.length < 2;
    this.set({ painter: this.usual, brush: 1, strength: 1, colors: "painter" });
    this.form.addEventListener("input", () => this.#soon("sketch", SKETCH_AFTER));
    this.form.addEventListener("change", () => this.#soon("full", FULL_AFTER));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.set({ painter: this.usual, brush: 1, strength: 1, colors: "painter" });
      this.#soon("full", 0);
    });
  }

  get look() {
    const { painter, brush, strength, colors } = this.fields;
    return {
      painter: painter.value,
      brush: Number((2 ** brush.value).toFixed(3)),
      strength: Number(strength.value),
      colors: colors.value,
    };
  }

  set(look) {
    clearTimeout(this.timer);
    this.fields.painter.value = look.painter;
    this.fields.brush.value = Math.log2(look.brush);
    this.fields.strength.value = look.strength;
    this.fields.colors.value = look.colors;
    this.#say();
  }

  /** The painter of a look, as people are told of it. */
  titleOf(look) {
    const found = this.painters.find((one) => one.name === look.painter);
    return found?.title || look.painter;
  }

  #soon(wanted, after) {
    this.#say();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.asked(this.look, wanted), after);
  }

  #say() {
    const { look, fields } = this;
    const brush = `${String(Number(look.brush.toPrecision(2)))} ×`;
    const strength = `${Math.round(look.strength * 100)}%`;
    document.getElementById("brush-value").textContent = brush;
    document.getElementById("strength-value").textContent = strength;
    fields.brush.setAttribute("aria-valuetext", `${brush.slice(0, -2)} times as large`);
    fields.strength.setAttribute("aria-valuetext", strength);
    const about = this.painters.find((one) => one.name === look.painter)?.about;
    document.getElementById("about").textContent = about ?? "";
    for (const range of [fields.brush, fields.strength]) {
      const part = (range.value - range.min) / (range.max - range.min);
      range.style.setProperty("--part", `${100 * part}%`);
    }
  }
}
