/**
 * Pictures as arrays: levels, planes, alpha; nothing of files. The same as `pictures.py`.
 *
 * Levels are {height, width, data: Uint8Array} of three planes, red, green and blue, one after the
 * other; planes the same as Float32Array, still of 0 to 255.
 */

import { resample } from "./resampling.js";

/** Levels of this size, black. */
export function levels(height, width) {
  return { height, width, data: new Uint8Array(3 * height * width) };
}

/** A part of levels as planes. */
export function planes(picture, box) {
  const { height, width } = box;
  const data = new Float32Array(3 * height * width);
  const whole = width === picture.width;
  for (let plane = 0, at = 0; plane < 3; plane++) {
    const start = (plane * picture.height + box.top) * picture.width + box.left;
    if (whole) {
      data.set(picture.data.subarray(start, start + height * width), at);
      at += height * width;
      continue;
    }
    for (let y = 0; y < height; y++, at += width) {
      const row = start + y * picture.width;
      data.set(picture.data.subarray(row, row + width), at);
    }
  }
  return { height, width, data };
}

/** Round planes into the part `box` of levels, clamped. */
export function store(values, picture, box) {
  const { height, width, data } = values;
  for (let plane = 0, from = 0; plane < 3; plane++) {
    for (let y = 0; y < height; y++) {
      let to = (plane * picture.height + box.top + y) * picture.width + box.left;
      for (let x = 0; x < width; x++) picture.data[to++] = rounded(data[from++]);
    }
  }
}

function rounded(value) {
  return value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5;
}

// --- alpha ---------------------------------------------------------------------------------

/**
 * The pixels with those that are wholly transparent filled in from the opaque ones around.
 *
 * What stands there is black or rubbish as a rule, and a painter would smear it into the edges.
 * @param {{height, width, data: Uint8Array, alpha: Uint8Array|null}} picture
 */
export function forPainting(picture) {
  const { height, width, data, alpha } = picture;
  if (!alpha || !alpha.includes(0)) return { height, width, data };
  if (alpha.every((a) => a === 0))
    return { height, width, data: new Uint8Array(data.length).fill(255) };
  // Halves of halves until all is known (push); then each fills the one twice its size (pull).
  const cover = Float32Array.from(alpha, (a) => a / 255);
  const found = [half({ height, width, data, cover })];
  while (found.at(-1).cover.includes(0)) found.push(half(found.at(-1)));
  let around = found.pop();
  while (found.length) {
    const finer = found.pop();
    const filled = doubled(around, finer.height, finer.width);
    keepKnown(filled, finer.data, finer.cover);
    around = { height: finer.height, width: finer.width, data: filled };
  }
  const filled = doubled(around, height, width);
  const result = data.slice();
  for (let plane = 0, at = 0; plane < 3; plane++) {
    for (let n = 0; n < alpha.length; n++, at++)
      if (alpha[n] === 0) result[at] = rounded(filled[at]);
  }
  return { height, width, data: result };
}

function keepKnown(filled, known, cover) {
  for (let plane = 0, at = 0; plane < 3; plane++) {
    for (let n = 0; n < cover.length; n++, at++) if (cover[n] > 0) filled[at] = known[at];
  }
}

/** Mean colours of squares of 2 pixels, each as opaque as it counts; how opaque the squares are. */
function half({ height, width, data, cover }) {
  const tall = Math.ceil(height / 2);
  const wide = Math.ceil(width / 2);
  const sums = new Float32Array(3 * tall * wide);
  const weight = new Float32Array(tall * wide);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const to = (y >> 1) * wide + (x >> 1);
      weight[to] += cover[at];
      for (let plane = 0; plane < 3; plane++) {
        sums[plane * tall * wide + to] += data[plane * height * width + at] * cover[at];
      }
    }
  }
  for (let at = 0; at < sums.length; at++) sums[at] /= Math.max(weight[at % weight.length], 1e-9);
  return { height: tall, width: wide, data: sums, cover: weight.map((w) => Math.min(w, 1)) };
}

function doubled({ height, width, data }, tall, wide) {
  // What reaches over an odd side is cut off.
  return resample(data, 3, height, width, tall, wide, [0, 0, wide / 2, tall / 2], "bilinear");
}

/** Painted pixels where a picture is not wholly transparent, its own where it is. In place. */
export function finished(picture, painted) {
  const { alpha, data } = picture;
  if (!alpha) return painted;
  for (let plane = 0, at = 0; plane < 3; plane++) {
    for (let n = 0; n < alpha.length; n++, at++) if (alpha[n] === 0) painted.data[at] = data[at];
  }
  return painted;
}

// --- as canvases hold them ------------------------------------------------------------------

/**
 * Where the pixels of a picture that was held in this way (1 to 8, as EXIF counts) go.
 *
 * @returns {{height, width, start, down, right}} the upright size; the place of the first pixel,
 *   and how far the place moves by one row down and one pixel to the right of the source
 */
export function turned(orientation, height, width) {
  const sideways = orientation >= 5;
  const [tall, wide] = sideways ? [width, height] : [height, width];
  const flips = {
    1: [0, wide, 1],
    2: [wide - 1, wide, -1],
    3: [tall * wide - 1, -wide, -1],
    4: [(tall - 1) * wide, -wide, 1],
    5: [0, 1, wide],
    6: [wide - 1, -1, wide],
    7: [tall * wide - 1, -1, -wide],
    8: [(tall - 1) * wide, 1, -wide],
  };
  const [start, down, right] = flips[orientation] ?? flips[1];
  return { height: tall, width: wide, start, down, right };
}

/** Spread some rows of RGBA into planes; `place` is from `turned`. */
export function spreadRows(rgba, top, rows, columns, place, picture) {
  const area = picture.height * picture.width;
  const { data, alpha } = picture;
  for (let y = 0, from = 0; y < rows; y++) {
    let to = place.start + (top + y) * place.down;
    for (let x = 0; x < columns; x++, from += 4, to += place.right) {
      data[to] = rgba[from];
      data[to + area] = rgba[from + 1];
      data[to + 2 * area] = rgba[from + 2];
      alpha[to] = rgba[from + 3];
    }
  }
}

/** Some rows of a picture as RGBA; laid on white where `white`. */
export function gathered(picture, top, rows, white = false) {
  const { height, width, data, alpha } = picture;
  const area = height * width;
  const rgba = new Uint8ClampedArray(4 * rows * width);
  for (let at = top * width, to = 0; to < rgba.length; at++, to += 4) {
    const cover = alpha ? alpha[at] : 255;
    rgba[to + 3] = white ? 255 : cover;
    for (let plane = 0; plane < 3; plane++) {
      const value = data[at + plane * area];
      rgba[to + plane] = white && cover < 255 ? (value * cover) / 255 + 255 - cover : value;
    }
  }
  return rgba;
}
