/**
 * Pictures resized as Pillow does it, whole and in parts. The same as `resampling.py`.
 *
 * Filters, their rounding and the order of the passes are those of Pillow's Resample.c, so that a
 * painting in the browser equals one in Python.
 */

import { levels } from "./pictures.js";

/** Source pixels around a part that Lanczos of 3 lobes looks at, and one to be sure. */
export const REACH = 4;

const PRECISION = 22; // bits after the point of weights for bytes

const FILTERS = {
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  bicubic: { support: 2, weight: bicubic },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function bicubic(x) {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

/**
 * For each place along one side of the result, which source pixels it is made of, and how much.
 *
 * @param {number} length of the source; from, to: the part of it that becomes `count` pixels
 * @returns {{starts: Int32Array, sizes: Int32Array, most: number, weights: Float64Array}}
 */
function taps(length, from, to, count, { support, weight }) {
  from = Math.fround(from); // as Pillow is handed them
  const scale = Math.fround(Math.fround(to) - from) / count;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  const most = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(count);
  const sizes = new Int32Array(count);
  const weights = new Float64Array(count * most);
  for (let at = 0; at < count; at++) {
    const centre = from + (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const size = Math.min(length, Math.trunc(centre + reach + 0.5)) - start;
    let sum = 0;
    for (let n = 0; n < size; n++) {
      const w = weight((n + start - centre + 0.5) / stretch);
      weights[at * most + n] = w;
      sum += w;
    }
    if (sum !== 0) for (let n = 0; n < size; n++) weights[at * most + n] /= sum;
    starts[at] = start;
    sizes[at] = size;
  }
  return { starts, sizes, most, weights };
}

/** Weights as whole numbers, for bytes. */
function whole(found) {
  const weights = Int32Array.from(found.weights, (w) =>
    Math.trunc((w < 0 ? -0.5 : 0.5) + w * 2 ** PRECISION),
  );
  return { ...found, weights };
}

/**
 * Planes of bytes or floats, one after the other, resized from a part of them.
 *
 * @param {Uint8Array|Float32Array} source `planes` planes of height x width
 * @param {number[]} box left, top, right and bottom of the part, fractions allowed
 */
export function resample(source, planes, height, width, tall, wide, box, name) {
  const [left, top, right, bottom] = box;
  const bytes = source instanceof Uint8Array;
  const ready = bytes ? whole : (found) => found;
  const across = wide !== width || left !== 0 || right !== width;
  const down = tall !== height || top !== 0 || bottom !== height;
  let [data, first, rows] = [source, 0, height];
  const vertical = down ? ready(taps(height, top, bottom, tall, FILTERS[name])) : null;
  if (vertical) {
    first = vertical.starts[0];
    rows = vertical.starts[tall - 1] + vertical.sizes[tall - 1] - first;
  }
  if (across) {
    const horizontal = ready(taps(width, left, right, wide, FILTERS[name]));
    const result = new source.constructor(planes * rows * wide);
    for (let plane = 0; plane < planes; plane++) {
      const from = data.subarray((plane * height + first) * width);
      alongRows(from, result.subarray(plane * rows * wide), rows, width, wide, horizontal, bytes);
    }
    data = result;
  } else if (!vertical) {
    return source.slice();
  } else {
    rows = height;
    first = 0;
  }
  if (!vertical) return data;
  const result = new source.constructor(planes * tall * wide);
  const shift = across ? first : 0;
  for (let plane = 0; plane < planes; plane++) {
    const from = data.subarray(plane * rows * wide);
    alongColumns(from, result.subarray(plane * tall * wide), tall, wide, vertical, shift, bytes);
  }
  return result;
}

function alongRows(from, to, rows, width, wide, { starts, sizes, most, weights }, bytes) {
  const half = bytes ? 1 << (PRECISION - 1) : 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < wide; x++) {
      let sum = half;
      const start = y * width + starts[x];
      const place = x * most;
      const size = sizes[x];
      for (let n = 0; n < size; n++) sum += from[start + n] * weights[place + n];
      to[y * wide + x] = bytes ? clamped(sum) : sum;
    }
  }
}

function alongColumns(from, to, tall, wide, { starts, sizes, most, weights }, shift, bytes) {
  const sums = bytes ? new Int32Array(wide) : new Float64Array(wide);
  for (let y = 0; y < tall; y++) {
    sums.fill(bytes ? 1 << (PRECISION - 1) : 0);
    for (let n = 0; n < sizes[y]; n++) {
      const w = weights[y * most + n];
      const start = (starts[y] - shift + n) * wide;
      for (let x = 0; x < wide; x++) sums[x] += from[start + x] * w;
    }
    const place = y * wide;
    if (bytes) for (let x = 0; x < wide; x++) to[place + x] = clamped(sums[x]);
    else for (let x = 0; x < wide; x++) to[place + x] = sums[x];
  }
}

function clamped(sum) {
  const value = sum >> PRECISION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/**
 * The part `box` of a picture resized from `size` to `whole`, [height, width] both.
 *
 * @param {{height, width, data: Float32Array}} source the part `held` of the picture, which
 *   reaches REACH pixels beyond what becomes of it, or to the picture's edges
 * @param {boolean} smooth bicubic, where nothing may ring, in place of Lanczos
 */
export function enlarged(source, held, size, box, whole, smooth = false) {
  const tall = size[0] / whole[0];
  const wide = size[1] / whole[1];
  const part = [
    box.left * wide - held.left,
    box.top * tall - held.top,
    box.right * wide - held.left,
    box.bottom * tall - held.top,
  ];
  const name = smooth ? "bicubic" : "lanczos";
  const { height, width, data } = source;
  const found = resample(
    data,
    data.length / (height * width),
    height,
    width,
    box.height,
    box.width,
    part,
    name,
  );
  return { height: box.height, width: box.width, data: found };
}

/** A picture of another size, antialiased, some rows at a time; Lanczos. */
export function resized(picture, height, width) {
  const tall = picture.height / height;
  const wide = picture.width;
  const result = levels(height, width);
  const around = Math.ceil(3 * Math.max(1, tall)) + 1;
  const rows = Math.max(1, Math.trunc(2 ** 22 / Math.max(wide * tall, width))); // at a time
  for (let at = 0; at < height; at += rows) {
    const to = Math.min(height, at + rows);
    const first = Math.max(0, Math.floor(at * tall) - around);
    const last = Math.min(picture.height, Math.ceil(to * tall) + around);
    const box = [0, at * tall - first, wide, to * tall - first];
    for (let plane = 0; plane < 3; plane++) {
      const start = plane * picture.height;
      const part = picture.data.subarray((start + first) * wide, (start + last) * wide);
      const small = resample(part, 1, last - first, wide, to - at, width, box, "lanczos");
      result.data.set(small, (plane * height + at) * width);
    }
  }
  return result;
}

/** A picture of about `side` pixels along its longer side, for a quick look. */
export function preview(picture, side) {
  const longest = Math.max(picture.height, picture.width);
  if (longest <= side) return picture;
  const size = [picture.height, picture.width].map((n) =>
    Math.max(1, Math.round((n * side) / longest)),
  );
  // Means of squares first: what is far too large takes no finer filter.
  const square = Math.floor(longest / (2 * side));
  return resized(square > 1 ? reduced(picture, square) : picture, ...size);
}

function reduced(picture, square) {
  const height = Math.floor(picture.height / square) || 1;
  const width = Math.floor(picture.width / square) || 1;
  const result = levels(height, width);
  const sums = new Uint32Array(width);
  for (let row = 0; row < 3 * height; row++) {
    const plane = Math.floor(row / height);
    const top = plane * picture.height + (row - plane * height) * square;
    sums.fill(0);
    const tall = Math.min(square, picture.height);
    const wide = Math.min(square, picture.width);
    for (let y = 0; y < tall; y++) {
      let at = (top + y) * picture.width;
      for (let x = 0; x < width; x++) for (let n = 0; n < wide; n++) sums[x] += picture.data[at++];
    }
    for (let x = 0; x < width; x++) result.data[row * width + x] = sums[x] / (tall * wide) + 0.5;
  }
  return result;
}
