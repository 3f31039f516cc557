/**
 * The worker that paints: one photo at a time, the newest first.
 *
 * It hears {kind: "open", memory}, {kind: "paint", id, photo, key, options} and {kind: "cancel",
 * id}; it tells {loaded}, {id, progress, note}, {id, done}, {id, error} and {id, short} where
 * memory was short.
 */

import * as brushwork from "./brushwork.js";
import { finished, forPainting } from "./pictures.js";
import { read } from "./reading.js";
import { preview } from "./resampling.js";
import * as runtime from "./runtime.js";
import { SITE } from "./settings.js";
import { encode } from "./writing.js";

const waiting = [];
const photos = new Map(); // as they were read, and their previews, the latest last
const paintings = new Map(); // before strength and colours
const engines = new Map(); // by painter, as promises
let memory = 0;
let current = null;
let started = null;
let heard = () => {}; // of loading

self.onmessage = ({ data }) => {
  if (data.kind === "open") {
    memory = data.memory;
    // What goes wrong is told when the painter is needed.
    engineOf(SITE.painters.find((painter) => painter.default)).catch(() => {});
  } else if (data.kind === "paint") {
    waiting.push(data);
    if (!current) workThrough();
  } else if (data.kind === "cancel") {
    const place = waiting.findIndex(({ id }) => id === data.id);
    if (place >= 0) waiting.splice(place, 1);
    if (current?.id === data.id) current.cancelled = true;
  }
};

async function workThrough() {
  while ((current = waiting.pop())) {
    const { id } = current;
    try {
      self.postMessage({ id, done: await painted(current) });
    } catch (error) {
      if (error !== CANCELLED) tell(id, error);
    }
    await breath(); // what was cancelled meanwhile is not begun
  }
}

const CANCELLED = new Error("cancelled");

function tell(id, error) {
  const text = String(error?.message ?? error);
  const short = error instanceof RangeError || /alloc|memory|out of bounds|aborted/i.test(text);
  self.postMessage(short ? { id, short: true } : { id, error: text });
}

/** Lets messages in. */
function breath() {
  return new Promise((resolve) => setTimeout(resolve));
}

/** An engine for a painter; what comes of loading is kept, unless it failed. */
function engineOf(painter) {
  let found = engines.get(painter.name);
  if (!found) {
    started ??= runtime.start((part) => heard(part));
    const file = runtime.content(painter.file);
    found = Promise.all([started, file]).then(([library, data]) => {
      self.postMessage({ loaded: library.kind });
      return runtime.load(library, data);
    });
    found.catch(() => {
      engines.delete(painter.name);
      started = null;
    });
    engines.set(painter.name, found);
  }
  return found;
}

/** The job's photo, of the size to paint. */
async function photoOf({ photo, key, options }) {
  const name = `${key}:${options.side ?? ""}`;
  let found = recalled(photos, name);
  if (!found) {
    const whole = recalled(photos, `${key}:`) ?? (await read(photo));
    remember(photos, `${key}:`, whole);
    found = options.side ? { ...whole, ...small(whole, options.side) } : whole;
    remember(photos, name, found);
  }
  return found;
}

function small(photo, side) {
  const filled = forPainting(photo);
  const { height, width, data } = preview(filled, side);
  if (!photo.alpha) return { height, width, data };
  const { alpha } = photo;
  const three = {
    height: photo.height,
    width: photo.width,
    data: new Uint8Array(3 * alpha.length),
  };
  three.data.set(alpha); // as the first of three planes
  return { height, width, data, alpha: preview(three, side).data.slice(0, height * width) };
}

function recalled(shelf, key) {
  const found = shelf.get(key);
  if (found) {
    shelf.delete(key);
    shelf.set(key, found);
  }
  return found;
}

/** Keeps the latest few, and of large ones the latest. */
function remember(shelf, key, picture) {
  shelf.set(key, picture);
  const size = (one) => one.data.length;
  let total = [...shelf.values()].reduce((sum, one) => sum + size(one), 0);
  for (const [oldest, one] of shelf) {
    if (total <= SITE.kept_bytes || oldest === key) break;
    shelf.delete(oldest);
    total -= size(one);
  }
}

async function painted(job) {
  const began = performance.now();
  const { options, id } = job;
  const told = async (part, note) => {
    self.postMessage({ id, progress: part, note });
    await breath();
    if (job.cancelled) throw CANCELLED;
  };
  await told(0, "Reading the photo");
  const photo = await photoOf(job);
  const painter = SITE.painters.find(({ name }) => name === options.painter);
  const key = [job.key, options.side ?? "", painter.name, options.brush].join(":");
  const ground = forPainting(photo);
  let painting = recalled(paintings, key);
  if (!painting) {
    heard = (part) =>
      self.postMessage({
        id,
        progress: 0,
        note: `Loading the painter, ${Math.round(100 * part)} %`,
      });
    const engine = await engineOf(painter);
    const note = photo.remark || "Painting";
    const means = { engine, painter, memory };
    painting = await brushwork.paint(ground, options.brush, means, (part) =>
      told(0.95 * part, note),
    );
    remember(paintings, key, painting);
  }
  await told(0.95, photo.remark || "Writing the file");
  const done = brushwork.finish(painting, ground, options.strength, options.colors);
  const shown = { ...done, alpha: photo.alpha };
  if (photo.alpha) {
    shown.data = done.data.slice();
    finished(photo, shown);
  }
  const { height, width } = shown;
  // A preview is looked at and thrown away.
  const file = options.side
    ? await encode(shown, "", null)
    : await encode(shown, photo.kind, photo.notes);
  return { ...file, height, width, seconds: (performance.now() - began) / 1000 };
}
