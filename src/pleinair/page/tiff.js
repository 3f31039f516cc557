/**
 * EXIF blocks, patched where they stand. As the parts of `tiff.py` that a browser needs.
 */

const [ORIENTATION, THUMBNAIL, THUMBNAIL_BYTES] = [274, 513, 514];
const SHORT = 3;

/**
 * Orientation of an EXIF block (without its "Exif" header), and the block as a painting keeps it:
 * orientation 1, no thumbnail; everything else keeps its bytes and its place.
 *
 * @param {Uint8Array} exif
 * @returns {{orientation: number, block: Uint8Array|null}} null for what is no block
 */
export function upright(exif) {
  const nothing = { orientation: 1, block: null };
  const mark = String.fromCharCode(...exif.subarray(0, 4));
  if (!["II*\0", "MM\0*"].includes(mark) || exif.length < 14) return nothing;
  const little = mark === "II*\0";
  const block = exif.slice();
  const view = new DataView(block.buffer);
  const first = view.getUint32(4, little);
  if (first + 2 > block.length) return nothing;
  const end = first + 2 + 12 * view.getUint16(first, little);
  if (end > block.length) return nothing;
  let orientation = 1;
  for (let at = first + 2; at < end; at += 12) {
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const held = view.getUint16(at + 8, little);
    if (held >= 1 && held <= 8) orientation = held;
    view.setUint16(at + 2, SHORT, little);
    view.setUint32(at + 4, 1, little);
    view.setUint16(at + 8, 1, little);
    view.setUint16(at + 10, 0, little);
    break;
  }
  const rest = end + 4 <= block.length ? withoutThumbnail(block, view, little, end) : block.length;
  return { orientation, block: block.subarray(0, rest) };
}

/** Blanks the thumbnail, which shows the photo as it was; how much of the block is left. */
function withoutThumbnail(block, view, little, link) {
  const second = view.getUint32(link, little);
  view.setUint32(link, 0, little);
  if (second <= link || second > block.length - 2) return block.length;
  const count = view.getUint16(second, little);
  const last = Math.min(second + 2 + 12 * count, block.length - 11);
  let [start, size] = [0, 0];
  for (let at = second + 2; at < last; at += 12) {
    const tag = view.getUint16(at, little);
    if (tag === THUMBNAIL) start = view.getUint32(at + 8, little);
    if (tag === THUMBNAIL_BYTES) size = view.getUint32(at + 8, little);
  }
  const end = start + size;
  if (start <= link || end > block.length || view.getUint16(start) !== 0xffd8) return block.length;
  block.fill(0, start, end);
  return end >= block.length - 1 ? start : block.length;
}
