/**
 * PNG files as chunks, and their pixels read and written exactly.
 *
 * A canvas multiplies colours by alpha and loses those of faint pixels, and some browsers add noise
 * to what is read from one; so PNGs of the usual kind do not go through it. The specification is
 * W3C's Portable Network Graphics, third edition.
 */

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS = { 2: 3, 4: 2, 6: 4 }; // of RGB, grey and alpha, RGBA
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** The chunks of a PNG, as far as they are whole: kind, data. */
export function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length;) {
    const size = view.getUint32(at);
    if (at + 12 + size > bytes.length) return;
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { kind, data: bytes.subarray(at + 8, at + 8 + size) };
    at += size + 12;
  }
}

/** A chunk with its length and its checksum. */
export function chunk(kind, data) {
  const found = new Uint8Array(data.length + 12);
  const view = new DataView(found.buffer);
  view.setUint32(0, data.length);
  found.set(
    [...kind].map((letter) => letter.charCodeAt(0)),
    4,
  );
  found.set(data, 8);
  let sum = 0xffffffff;
  for (let at = 4; at < found.length - 4; at++) sum = TABLE[(sum ^ found[at]) & 0xff] ^ (sum >>> 8);
  view.setUint32(found.length - 4, ~sum >>> 0);
  return found;
}

/** A file of these chunks. */
export function joined(parts) {
  const all = [Uint8Array.from(SIGNATURE), ...parts.map(({ kind, data }) => chunk(kind, data))];
  return new Blob(all, { type: "image/png" });
}

/**
 * The pixels, or null where a canvas has to decode the file: another kind of pixels, or a
 * colour space to convert from.
 *
 * @returns {Promise<{height, width, rgba: Uint8Array}|null>}
 * @throws {Error} one sentence, where there are fewer pixels than the file promises
 */
export async function decode(bytes) {
  const found = [...chunks(bytes)];
  const header = found[0]?.data;
  if (found[0]?.kind !== "IHDR" || header.length < 13) return null;
  const [depth, type, , , interlace] = header.subarray(8);
  const hidden = found.some(({ kind }) => kind === "tRNS"); // one colour that stands for nothing
  const plain = depth === 8 && type in CHANNELS && interlace === 0 && !hidden;
  const coloured = found.some(({ kind }) =>
    ["iCCP", "gAMA", "cHRM", "cICP", "acTL"].includes(kind),
  );
  const known = found.some(({ kind }) => kind === "sRGB");
  if (!plain || (coloured && !known)) return null;
  const view = new DataView(header.buffer, header.byteOffset);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const channels = CHANNELS[type];
  const stride = width * channels;
  const packed = new Blob(found.filter(({ kind }) => kind === "IDAT").map(({ data }) => data));
  const lines = await unpacked(packed, height * (stride + 1));
  if (!lines) throw new Error("The picture is cut short or damaged; choose another copy.");
  const values = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1);
    unfiltered(
      lines[from],
      lines.subarray(from + 1, from + 1 + stride),
      values,
      y,
      stride,
      channels,
    );
  }
  if (channels === 4) return { height, width, rgba: values };
  const rgba = new Uint8Array(4 * height * width);
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0];
  for (let from = 0, to = 0; to < rgba.length; from += channels, to += 4) {
    rgba[to] = values[from];
    rgba[to + 1] = values[from + green];
    rgba[to + 2] = values[from + blue];
    rgba[to + 3] = channels === 3 ? 255 : values[from + 1];
  }
  return { height, width, rgba };
}

/** So many bytes of what a zlib stream holds, no more; null where it holds less. */
async function unpacked(blob, size) {
  const result = new Uint8Array(size);
  let done = 0;
  try {
    const reader = blob.stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let part; done < size && !(part = await reader.read()).done;) {
      const taken = part.value.subarray(0, size - done);
      result.set(taken, done);
      done += taken.length;
    }
    reader.cancel().catch(() => {});
  } catch {
    return null;
  }
  return done === size ? result : null;
}

function unfiltered(filter, line, values, y, stride, channels) {
  const at = y * stride;
  for (let x = 0; x < stride; x++) {
    const left = x >= channels ? values[at + x - channels] : 0;
    const up = y ? values[at + x - stride] : 0;
    const corner = y && x >= channels ? values[at + x - stride - channels] : 0;
    let guess = 0;
    if (filter === 1) guess = left;
    else if (filter === 2) guess = up;
    else if (filter === 3) guess = (left + up) >> 1;
    else if (filter === 4) guess = paeth(left, up, corner);
    values[at + x] = line[x] + guess;
  }
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const a = Math.abs(guess - left);
  const b = Math.abs(guess - up);
  const c = Math.abs(guess - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** RGBA as a PNG file, without alpha where `opaque`. */
export async function encode(height, width, rgba, opaque) {
  const channels = opaque ? 3 : 4;
  const stride = channels * width;
  const lines = new Uint8Array(height * (stride + 1));
  let row = new Uint8Array(stride);
  let above = new Uint8Array(stride);
  for (let y = 0, from = 0, to = 0; y < height; y++) {
    for (let x = 0; x < stride; from += 4) {
      for (let n = 0; n < channels; n++) row[x++] = rgba[from + n];
    }
    lines[to++] = 4; // Paeth throughout: good for what is painted
    for (let x = 0; x < stride; x++) {
      const left = x >= channels ? row[x - channels] : 0;
      const corner = x >= channels ? above[x - channels] : 0;
      lines[to++] = row[x] - paeth(left, above[x], corner);
    }
    [row, above] = [above, row];
  }
  const packed = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, opaque ? 2 : 6], 8);
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  return joined([
    { kind: "IHDR", data: header },
    { kind: "IDAT", data },
    { kind: "IEND", data: new Uint8Array() },
  ]);
}
