/**
 * From a photo's pixels to a painting's: layers from broad to fine, each painted tile by tile.
 * The same as `brushwork.py`, which says why.
 */

import * as pictures from "./pictures.js";
import * as resampling from "./resampling.js";
import { PAINT } from "./settings.js";
import * as tiling from "./tiling.js";
import { Box } from "./tiling.js";

const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601

/**
 * Height and width of each layer, the last being the photo's own.
 *
 * @param {{in_layers: boolean}} painter
 * @returns {number[][]}
 */
export function layerSizes(height, width, painter, brush) {
  const ratio = (Math.max(height, width) * brush) / PAINT.first_layer;
  const inLayers = painter.in_layers || brush !== 1;
  let count = inLayers ? 1 + Math.max(0, evenly(Math.log2(ratio))) : 1;
  count = Math.min(count, PAINT.max_layers);
  const step = ratio ** (1 / Math.max(1, count - 1));
  return Array.from({ length: count }, (_, n) => {
    const scale = step ** (count - 1 - n);
    return [height, width].map((side) => Math.max(1, evenly(side / scale)));
  });
}

/** Rounded as Python does: halves to the even number. */
function evenly(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/**
 * Paint levels; strength and colours come afterwards, by `finish`.
 *
 * @param {{engine: import("./runtime.js").TwoModes, painter: object, memory: number}} means
 *   memory: bytes that painting may take
 * @param {(part: number) => Promise<void>} told hears the part done; may throw to end the work
 * @returns {Promise<object>} levels of the size of `photo`
 */
export async function paint(photo, brush, means, told) {
  const sizes = layerSizes(photo.height, photo.width, means.painter, brush);
  const views = [photo];
  for (const size of sizes.slice(0, -1).reverse()) {
    views.unshift(resampling.resized(views[0], ...size));
  }
  const work = sizes.reduce((sum, [h, w]) => sum + h * w, 0);
  let done = 0;
  let below = null;
  for (const [number, view] of views.entries()) {
    const area = view.height * view.width;
    const ground = new Ground(view, below, views[Math.max(0, number - 1)]);
    const held = views.reduce((sum, v) => sum + v.data.length, below ? below.data.length : 0);
    const tell = (part) => told((done + part * area) / work);
    const painted = await layer(ground, held, views.length, means, tell);
    if (below) keepColours(painted, below);
    below = painted;
    done += area;
  }
  return below;
}

/** Paint a ground, whole or in tiles. */
async function layer(ground, held, layers, { engine, painter, memory }, told) {
  const { height, width } = ground.photo;
  const stride = painter.stride;
  const margin = edgeMargin(painter, Math.max(height, width), layers);
  const [tall, wide] = [height, width].map((side) =>
    Math.max(painter.least_side, Math.ceil((side + 2 * margin) / stride) * stride),
  );
  const frame = new Frame(ground, margin, tall, wide);
  const painted = pictures.levels(height, width);
  held += PAINT.base_bytes + PAINT.weights_copies * painter.weight_bytes;
  const free = memory - held - painted.data.length;
  const most = Math.floor(Math.max(free, PAINT.least_tile_bytes) / painter.bytes_per_pixel);
  await told(0);
  const network = await forLayer(frame, stride, most, engine, painter);
  const whole = new Box(0, 0, tall, wide);
  let tiles = [{ out: whole, seen: whole }];
  if (whole.area > most) tiles = tiling.plan(tall, wide, painter.halo, stride, most);
  for (const [number, tile] of tiles.entries()) {
    await told(number / tiles.length);
    const inner = frame.inner(tile.out); // without the margin that was added around
    if (inner.height <= 0 || inner.width <= 0) continue;
    const values = await network.paint(frame.batch(tile.seen));
    const part = cut(values, inner.within(tile.seen));
    pictures.store(part, painted, frame.unframed(inner));
  }
  await told(1);
  return painted;
}

function edgeMargin(painter, longest, layers) {
  if (longest > painter.small_side) return painter.margins.large;
  return layers === 1 ? painter.margins.small : painter.margins.small_in_layers;
}

/** The network, with statistics of its own where the frame is not painted in one go. */
async function forLayer(frame, stride, most, engine, painter) {
  let budget = Math.floor(PAINT.measured_bytes / painter.bytes_per_pixel);
  budget = Math.max(budget, Math.min(PAINT.least_measured, most));
  const area = frame.tall * frame.wide;
  if (area <= Math.min(most, budget)) return engine;
  const some = Math.min(PAINT.sampled_pixels, budget);
  const sample = area <= budget ? frame.whole() : frame.sample(some, stride);
  return engine.fixed(await engine.measure(sample));
}

/** A part of what a network returned, as planes. */
function cut(batch, box) {
  const { height, width } = box;
  const data = new Float32Array(3 * height * width);
  for (let plane = 0, to = 0; plane < 3; plane++) {
    for (let y = box.top; y < box.bottom; y++) {
      let from = (plane * batch.height + y) * batch.width + box.left;
      for (let x = 0; x < width; x++) data[to++] = batch.data[from++] * 127.5 + 127.5;
    }
  }
  return { height, width, data };
}

/** What a layer is painted on: the photo, over the layer below where there is one. */
export class Ground {
  /** @param before the photo at the size of the layer below */
  constructor(photo, below, before) {
    this.photo = photo;
    this.below = below;
    this.before = before;
  }

  /** A part of it as planes: the layer below, enlarged, with some of the detail that it lacks. */
  part(box) {
    const here = pictures.planes(this.photo, box);
    if (!this.below) return here;
    // below + detail * (photo - before), with one enlargement in place of two.
    const size = [this.below.height, this.below.width];
    const whole = [this.photo.height, this.photo.width];
    const [tall, wide] = [size[0] / whole[0], size[1] / whole[1]];
    const held = new Box(
      Math.max(0, Math.floor(box.top * tall) - resampling.REACH),
      Math.max(0, Math.floor(box.left * wide) - resampling.REACH),
      Math.min(size[0], Math.ceil(box.bottom * tall) + resampling.REACH),
      Math.min(size[1], Math.ceil(box.right * wide) + resampling.REACH),
    );
    const rest = pictures.planes(this.below, held);
    const before = pictures.planes(this.before, held).data;
    const detail = PAINT.layer_detail;
    for (let n = 0; n < before.length; n++) rest.data[n] -= detail * before[n];
    const broad = resampling.enlarged(rest, held, size, box, whole).data;
    const values = here.data;
    for (let n = 0; n < values.length; n++) {
      const value = detail * values[n] + broad[n];
      values[n] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
    return here;
  }
}

/** A ground with reflected pixels around it: `margin` above and left, the rest below and right. */
export class Frame {
  constructor(ground, margin, tall, wide) {
    this.ground = ground;
    this.margin = margin;
    this.tall = tall;
    this.wide = wide;
  }

  /** A part as a network takes it: {height, width, data}, three planes in [-1, 1]. */
  batch(box) {
    const { height, width } = this.ground.photo;
    const rows = reflected(box.top - this.margin, box.bottom - this.margin, height);
    const columns = reflected(box.left - this.margin, box.right - this.margin, width);
    const needed = new Box(least(rows), least(columns), greatest(rows) + 1, greatest(columns) + 1);
    const part = this.ground.part(needed);
    const data = new Float32Array(3 * box.area);
    for (let plane = 0, to = 0; plane < 3; plane++) {
      for (let y = 0; y < box.height; y++) {
        const from = (plane * part.height + rows[y] - needed.top) * part.width - needed.left;
        for (let x = 0; x < box.width; x++) data[to++] = part.data[from + columns[x]] / 127.5 - 1;
      }
    }
    return { height: box.height, width: box.width, data };
  }

  /** All of it. */
  whole() {
    return this.batch(new Box(0, 0, this.tall, this.wide));
  }

  /** As many pixels as `most` from all over it, in squares side by side. */
  sample(most, stride) {
    const rows = tiling.samples(this.tall, this.wide, most, PAINT.sample_side, stride);
    const side = rows[0][0];
    const [height, width] = [rows.length * side.height, rows[0].length * side.width];
    const data = new Float32Array(3 * height * width);
    for (const [down, row] of rows.entries()) {
      for (const [across, box] of row.entries()) {
        const part = this.batch(box).data;
        for (let line = 0; line < 3 * side.height; line++) {
          const plane = Math.floor(line / side.height);
          const y = down * side.height + line - plane * side.height;
          const values = part.subarray(line * side.width, (line + 1) * side.width);
          data.set(values, (plane * height + y) * width + across * side.width);
        }
      }
    }
    return { height, width, data };
  }

  /** The part of a box that is not margin. */
  inner(box) {
    const { height, width } = this.ground.photo;
    return new Box(
      Math.max(box.top, this.margin),
      Math.max(box.left, this.margin),
      Math.min(box.bottom, this.margin + height),
      Math.min(box.right, this.margin + width),
    );
  }

  /** A box counted from the ground's corner. */
  unframed(box) {
    return box.within(new Box(this.margin, this.margin, 0, 0));
  }
}

/** Places beyond a side's ends, reflected at its first and last pixel as often as it takes. */
function reflected(from, to, length) {
  const period = Math.max(1, 2 * length - 2);
  return Int32Array.from({ length: to - from }, (_, n) => {
    const folded = Math.abs(from + n) % period;
    return length > 1 ? Math.min(folded, period - folded) : 0;
  });
}

function least(places) {
  return places.reduce((a, b) => Math.min(a, b));
}

function greatest(places) {
  return places.reduce((a, b) => Math.max(a, b));
}

/** Take broad colours back toward the layer below, in place. */
function keepColours(painted, below) {
  const { height, width } = painted;
  const small = [height, width].map((side) => Math.max(1, Math.floor(side / PAINT.broad)));
  const whole = new Box(0, 0, ...small);
  const drift = pictures.planes(resampling.resized(below, ...small), whole);
  const now = resampling.resized(painted, ...small).data;
  for (let n = 0; n < now.length; n++) {
    drift.data[n] = (drift.data[n] - now[n]) * PAINT.layer_colour;
  }
  for (const box of bands(height, width)) {
    const values = pictures.planes(painted, box);
    const change = resampling.enlarged(drift, whole, small, box, [height, width], true).data;
    for (let n = 0; n < change.length; n++) values.data[n] += change[n];
    pictures.store(values, painted, box);
  }
}

/**
 * Strength and colours of a painting.
 *
 * @returns {object} `painted` itself where nothing changes, else new levels
 */
export function finish(painted, photo, strength, colors) {
  if (strength === 1 && colors === "painter") return painted;
  const { height, width } = painted;
  const result = pictures.levels(height, width);
  for (const box of bands(height, width)) {
    const before = pictures.planes(photo, box).data;
    const values = pictures.planes(painted, box);
    const { data } = values;
    const area = box.area;
    for (let n = 0; n < data.length; n++) data[n] -= before[n];
    if (colors === "photo") {
      // The same change of red, green and blue leaves the differences between them alone.
      for (let n = 0; n < area; n++) {
        const light = LUMA[0] * data[n] + LUMA[1] * data[n + area] + LUMA[2] * data[n + 2 * area];
        data[n] = data[n + area] = data[n + 2 * area] = light;
      }
    }
    for (let n = 0; n < data.length; n++) data[n] = before[n] + strength * data[n];
    pictures.store(values, result, box);
  }
  return result;
}

function* bands(height, width) {
  const rows = Math.max(1, Math.floor(PAINT.band_pixels / width));
  for (let at = 0; at < height; at += rows) {
    yield new Box(at, 0, Math.min(height, at + rows), width);
  }
}
