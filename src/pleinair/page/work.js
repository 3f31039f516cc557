// A photo on the wall, and what a browser needs to show of it.

const THUMBNAIL = 176; // pixels of the shorter side of a small frame's picture

let made = 0;

/** A photo with what is known of it. Whoever changes it tells so by `changed`. */
export class Work {
  constructor(file, look) {
    this.id = `work-${(made += 1)}`;
    this.file = file;
    this.title = file.name.replace(/\.[^.]+$/, "").replaceAll("_", " ") || file.name;
    this.look = { ...look }; // asked for
    this.state = "waiting"; // waiting, painting, painted, stopped or failed
    this.wanted = "full"; // or "sketch", or null: what is still to be painted
    this.part = 0;
    this.from = null; // { part, time }: where the part that is done began to grow, and when ...
    this.last = null; // ... and where it grew last
    this.note = ""; // what holds it up, or why it failed
    this.width = this.height = 0; // pixels, or of a smaller copy until it is painted
    this.copied = false; // whether what is shown is such a copy
    this.photo = null; // address to show, or null where this browser cannot
    this.thumbnail = null;
    this.shown = null; // address of the painting to show: of the sketch, then of the full one
    this.sketched = null; // look of the sketch that is shown
    this.done = null; // { blob, name, seconds, look, shown }: the full painting
    this.gone = false;
  }

  /** The full painting, where it is the one that was asked for. */
  get finished() {
    return this.done && alike(this.done.look, this.look) ? this.done : null;
  }

  /** Make photo, size and thumbnail ready. Rejects with Error where there is nothing to paint. */
  async prepare(engine) {
    const view = await viewOf(this.file, engine);
    if (this.gone) return release(view?.address);
    if (!view) return; // another kind of file: the engine says whether it can be painted
    [this.photo, this.width, this.height] = [view.address, view.width, view.height];
    this.copied = view.copied;
    this.thumbnail = await thumbnail(view.blob);
    if (this.gone) this.clear();
  }

  async showSketch(result, engine, look) {
    const view = await viewOf(result.blob, engine);
    if (this.gone || !view) return release(view?.address);
    this.#show(view.address);
    this.sketched = look;
  }

  async showPainting(result, engine, look) {
    const view = await viewOf(result.blob, engine);
    if (this.gone) return release(view?.address);
    const before = this.done;
    const address = URL.createObjectURL(result.blob); // to download it by
    this.done = { ...result, look, address, shown: view?.address ?? null };
    [this.width, this.height, this.copied] = [result.width, result.height, false];
    this.#show(this.done.shown);
    release(before?.shown, before?.address);
    this.sketched = null;
    const small = view && (await thumbnail(view.blob));
    if (this.gone || !small) return release(small);
    release(this.thumbnail);
    this.thumbnail = small;
  }

  /** Back to the painting that was there before other ones were asked for. */
  restore() {
    this.look = { ...this.done.look };
    this.takeBack();
  }

  /** Show the painting before, where a new one came only as far as a sketch. */
  takeBack() {
    if (!this.done) return;
    this.#show(this.done.shown);
    this.sketched = null;
  }

  #show(address) {
    if (this.shown !== this.done?.shown && this.shown !== address) release(this.shown);
    this.shown = address;
  }

  clear() {
    this.gone = true;
    release(this.photo, this.thumbnail, this.shown, this.done?.shown, this.done?.address);
    this.photo = this.thumbnail = this.shown = this.done = null;
  }
}

function release(...addresses) {
  for (const address of new Set(addresses)) if (address) URL.revokeObjectURL(address);
}

export function alike(a, b) {
  return Object.keys(a).every((key) => a[key] === b[key]);
}

/** Something that an <img> shows of a picture: { blob, address, width, height, copied }. */
async function viewOf(blob, engine) {
  const own = await loaded(blob, false);
  if (own || !engine.preview || !blob.size) return own;
  try {
    return await loaded(await engine.preview(blob), true);
  } catch {
    return null; // no picture at all: painting it says so
  }
}

async function loaded(blob, copied) {
  const address = URL.createObjectURL(blob);
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
    return { blob, address, width: image.naturalWidth, height: image.naturalHeight, copied };
  } catch {
    URL.revokeObjectURL(address);
    return null;
  }
}

/** The address of a small copy, so that the row of frames holds no large pictures. */
async function thumbnail(blob) {
  try {
    const options = { resizeHeight: THUMBNAIL, resizeQuality: "high" };
    const bitmap = await createImageBitmap(blob, options);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    const small = await new Promise((made) => canvas.toBlob(made, "image/webp", 0.85));
    return small && URL.createObjectURL(small);
  } catch {
    return null;
  }
}
