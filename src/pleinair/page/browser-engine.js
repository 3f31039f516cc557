/**
 * Painting in the browser alone: the engine of a static site. All heavy work is a worker's.
 */

import * as offline from "./offline.js";
import { PAINT, SITE } from "./settings.js";

const GIB = 2 ** 30;

/**
 * @param {{memory?: number}} means bytes that painting may take; left out: by the device's memory
 * @returns {Promise<object>} the engine; its painters, limits and `paint` are those of every engine
 */
export async function open({ memory = allowed() } = {}) {
  if (typeof OffscreenCanvas === "undefined" || typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old to paint by itself; use a newer one.");
  }
  await offline.ready();
  const studio = new Studio(memory);
  return {
    painters: SITE.painters.map(({ name, title, about, default: first }) => ({
      name,
      title,
      about,
      default: first,
    })),
    privacy:
      "Your photos stay on this device: this browser paints them itself, and sends nothing anywhere.",
    limits: { bytes: SITE.max_bytes, pixels: SITE.max_pixels },
    accept: SITE.accept,
    offline: studio.loaded.then(offline.keep),
    paint: async (photo, options, { signal, progress } = {}) =>
      studio.paint(photo, options, signal, progress),
  };
}

/** What painting may take of this device's memory. */
function allowed() {
  const device = navigator.deviceMemory; // in GiB, and not told by every browser
  return Math.min(PAINT.memory, device ? (device * GIB) / 4 : SITE.unknown_memory);
}

/** The worker, and what was asked of it. */
class Studio {
  constructor(memory) {
    this.memory = memory;
    this.jobs = new Map();
    this.keys = new WeakMap(); // photos by number: the worker keeps what it read of them
    this.count = 0;
    this.loaded = new Promise((resolve) => (this.hasLoaded = resolve));
    this.hire();
  }

  hire() {
    this.worker = new Worker(new URL("./paint-worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message ? ` (${event.message})` : "";
      const jobs = [...this.jobs.values()];
      this.jobs.clear();
      this.worker.terminate();
      this.worker = null; // another one when there is something to do
      jobs.forEach(({ reject }) =>
        reject(new Error(`Painting stopped${why}; try again or load the page again.`)),
      );
    };
    this.worker.postMessage({ kind: "open", memory: this.memory });
    for (const { message } of this.jobs.values()) this.worker.postMessage(message);
  }

  paint(photo, options, signal, progress = () => {}) {
    const asked = checked(options);
    if (!this.keys.has(photo)) this.keys.set(photo, ++this.count);
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(stopped());
        return;
      }
      const stop = () => {
        this.jobs.delete(id);
        this.worker?.postMessage({ kind: "cancel", id });
        reject(stopped());
      };
      signal?.addEventListener("abort", stop, { once: true });
      const message = { kind: "paint", id, photo, key: this.keys.get(photo), options: asked };
      const end = (settle) => (value) => {
        signal?.removeEventListener("abort", stop);
        settle(value);
      };
      this.jobs.set(id, {
        message,
        progress,
        resolve: end(resolve),
        reject: end(reject),
        name: options.name ?? photo.name,
      });
      if (this.worker) this.worker.postMessage(message);
      else this.hire();
    });
  }

  hear({ id, loaded, progress, note, done, error, short }) {
    if (loaded) this.hasLoaded(loaded);
    const job = this.jobs.get(id);
    if (!job) return;
    if (short) {
      this.retry(id);
    } else if (progress !== undefined) {
      job.progress(progress, note);
    } else {
      this.jobs.delete(id);
      if (error) job.reject(new Error(error));
      else job.resolve(result(done, job));
    }
  }

  /** Smaller tiles, in a fresh worker: one that ran out of memory is not to be trusted. */
  retry(id) {
    this.worker.terminate();
    if (this.memory <= SITE.least_memory) {
      const job = this.jobs.get(id);
      this.jobs.delete(id);
      job.reject(
        new Error(
          "This device has too little memory for a photo of this size; make it smaller first.",
        ),
      );
    }
    this.memory = Math.max(SITE.least_memory, this.memory / 2);
    this.hire();
  }
}

function stopped() {
  return new DOMException("The painting was stopped.", "AbortError");
}

/** Options with defaults, in their ranges. */
function checked({ painter, brush = 1, strength = 1, colors = "painter", side } = {}) {
  const names = SITE.painters.map(({ name }) => name);
  const known = painter ?? SITE.painters.find((one) => one.default).name;
  if (!names.includes(known))
    throw new Error(`There is no painter ${known} here; choose ${names.join(" or ")}.`);
  for (const [name, value, low, high] of [
    ["brush", brush, PAINT.least_brush, PAINT.most_brush],
    ["strength", strength, 0, PAINT.most_strength],
    ["side", side ?? 1, 1, Infinity],
  ]) {
    if (!(value >= low && value <= high))
      throw new Error(`${name} ${value} found; give a number from ${low} to ${high}.`);
  }
  if (!["painter", "photo"].includes(colors))
    throw new Error(`colors ${colors} found; give painter or photo.`);
  return { painter: known, brush: Number(brush), strength: Number(strength), colors, side };
}

function result({ blob, suffix, width, height, seconds }, { name, message }) {
  const stem = (name || "photo").replace(/^.*[\\/]/, "").replace(/\.[^.]*$/, "") || "photo";
  return { blob, name: `${stem}.${message.options.painter}${suffix}`, width, height, seconds };
}
