/**
 * Which kind of picture a file is, by its first bytes, and how large. As `kinds.py`.
 */

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** "jpeg", "png", "webp", "gif", "bmp", "avif", "heif", "tiff", or "" for what is none of these. */
export function kindOf(bytes) {
  const text = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (PNG.every((byte, n) => bytes[n] === byte)) return "png";
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") return "webp";
  if (text(0, 4) === "GIF8") return "gif";
  if (text(0, 2) === "BM") return "bmp";
  if (/^(II[*+]\0|MM\0[*+])/.test(text(0, 4))) return "tiff";
  if (text(4, 8) === "ftyp") {
    const brands = text(8, Math.min(64, bytes.length));
    if (/avi[fs]/.test(brands)) return "avif";
    if (/hei[cxms]|hev[cxm]|mif1/.test(brands)) return "heif";
  }
  return "";
}

/** Whether this GIF, PNG or WebP moves. */
export function moves(bytes, kind) {
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  if (kind === "png") return head.includes("acTL");
  if (kind === "webp") return head.slice(12, 16) === "VP8X" && (bytes[20] & 2) !== 0;
  if (kind !== "gif") return false;
  return picturesOfGif(bytes) > 1;
}

/** Pictures in a GIF, as far as two. */
function picturesOfGif(bytes) {
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let count = 0;
  for (let at = 13 + table(bytes[10]); at < bytes.length && count < 2;) {
    if (bytes[at] === 0x2c) {
      count += 1;
      at += 11 + table(bytes[at + 9]);
    } else if (bytes[at] === 0x21) {
      at += 2;
    } else {
      break;
    }
    while (bytes[at]) at += bytes[at] + 1; // blocks of data, the last of none
    at += 1;
  }
  return count;
}

/** Width and height by a file's header, before anything is decoded; null where it is not told. */
export function sizeOf(bytes, kind) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (kind === "png") return [view.getUint32(16), view.getUint32(20)];
    if (kind === "gif") return [view.getUint16(6, true), view.getUint16(8, true)];
    if (kind === "bmp") return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
    if (kind === "webp") return sizeOfWebp(view, String.fromCharCode(...bytes.subarray(12, 16)));
    if (kind === "jpeg") return sizeOfJpeg(view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a file that is cut short
  }
  return null;
}

function sizeOfWebp(view, kind) {
  if (kind === "VP8X") {
    return [24, 27].map((at) => 1 + view.getUint16(at, true) + (view.getUint8(at + 2) << 16));
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return [1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff)];
  }
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
}

function sizeOfJpeg(view) {
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
    } else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return [view.getUint16(at + 7), view.getUint16(at + 5)];
    } else {
      at += 2 + view.getUint16(at + 2);
    }
  }
}
