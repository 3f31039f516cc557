// Paints the works one after the other: what is looked at first, a sketch before a full painting.

import { alike } from "./work.js";

const SKETCH = 512; // pixels of a sketch's longer side
const WORTH = 1.3; // times that side; smaller photos are painted at once

export class Easel {
  /** changed: called with a work whenever something of it has changed. */
  constructor(engine, changed) {
    this.engine = engine;
    this.changed = changed;
    this.works = [];
    this.first = null; // the work that is looked at
    this.now = null; // { work, look, control } while something is painted
    this.preparing = Promise.resolve();
  }

  add(work) {
    this.works.push(work);
    // One after the other: each may be decoded at full size for a moment.
    work.ready = this.preparing.then(() => work.gone || work.prepare(this.engine));
    this.preparing = work.ready.then(
      () => this.changed(work),
      () => {},
    );
    this.#go();
  }

  /** Look at this one: of those that wait it comes first. */
  look(work) {
    this.first = work;
  }

  /** Paint a work again, a "sketch" or in "full", at once, whatever is being painted. */
  paint(work, wanted) {
    if (work.finished) return this.cancel(work); // it is there already
    work.wanted = wanted;
    if (this.now?.work === work && alike(this.now.look, work.look)) return;
    if (work.state !== "painting") this.#become(work, "waiting");
    this.first = work;
    this.now?.control.abort();
    this.#go();
  }

  /** Paint these again when their turn comes. */
  queue(works) {
    for (const work of works) {
      work.wanted = "full";
      if (this.now?.work === work) this.now.control.abort();
      else this.#become(work, "waiting");
    }
    this.#go();
  }

  cancel(work) {
    work.wanted = null;
    if (work.done) {
      work.restore();
      this.#become(work, "painted");
    } else {
      this.#become(work, "stopped");
    }
    if (this.now?.work === work) this.now.control.abort();
  }

  remove(work) {
    this.works = this.works.filter((one) => one !== work);
    work.clear();
    if (this.first === work) this.first = null;
    if (this.now?.work === work) this.now.control.abort();
  }

  #become(work, state, note = "") {
    work.state = state;
    work.note = note;
    this.changed(work);
  }

  #next() {
    if (this.first?.wanted) return this.first;
    return this.works.find((work) => work.wanted);
  }

  async #go() {
    if (this.now) return;
    for (let work; (work = this.#next()); ) {
      this.now = { work, look: { ...work.look }, control: new AbortController() };
      try {
        await this.#one(work, this.now.look, this.now.control.signal);
      } catch (error) {
        this.#missed(work, error);
      }
      this.now = null;
    }
  }

  #missed(work, error) {
    if (work.gone) return;
    if (error.name !== "AbortError") {
      work.wanted = null;
      work.takeBack();
      this.#become(work, "failed", error.message);
    } else if (work.wanted && work !== this.first) {
      this.#become(work, "waiting"); // it goes on when its turn comes again
    }
  }

  async #one(work, look, signal) {
    work.part = 0;
    this.#become(work, "painting");
    await work.ready;
    signal.throwIfAborted();
    const { pixels } = this.engine.limits;
    if (pixels && work.width * work.height > pixels) {
      const [has, may] = [work.width * work.height, pixels].map((n) => (n / 1e6).toFixed(1));
      throw new Error(`This photo has ${has} megapixels, more than ${may}; make it smaller first.`);
    }
    const large = Math.max(work.width, work.height) > WORTH * SKETCH;
    if (large) await this.#sketch(work, look, signal);
    else work.wanted = "full";
    if (work.wanted !== "full") {
      work.wanted = null;
      this.#become(work, "painted");
      return;
    }
    const began = performance.now();
    const result = await this.engine.paint(work.file, look, {
      signal,
      progress: (part, note = "") => this.#heard(work, signal, part, note),
    });
    signal.throwIfAborted();
    result.seconds ||= (performance.now() - began) / 1000;
    await work.showPainting(result, this.engine, look);
    if (signal.aborted) return;
    work.wanted = null;
    this.#become(work, "painted");
  }

  async #sketch(work, look, signal) {
    if (work.sketched && alike(work.sketched, look)) return;
    const progress = (_, note = "") => this.#heard(work, signal, 0, note);
    const options = { ...look, side: SKETCH };
    const result = await this.engine.paint(work.file, options, { signal, progress });
    signal.throwIfAborted();
    work.note = "";
    await work.showSketch(result, this.engine, look);
    this.changed(work);
  }

  #heard(work, signal, part, note) {
    if (signal.aborted || work.gone) return;
    const now = { part, time: performance.now() };
    if (part > 0 && !work.part) work.from = work.last = now;
    else if (part > work.part) work.last = now;
    [work.part, work.note] = [part, note];
    this.changed(work);
  }
}
