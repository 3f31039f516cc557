/**
 * A photo's file to upright pixels in sRGB; every file is answered by a picture or one sentence.
 */

import { kindOf, moves, sizeOf } from "./kinds.js";
import * as metadata from "./metadata.js";
import { spreadRows, turned } from "./pictures.js";
import * as png from "./png.js";
import { SITE } from "./settings.js";

/** What not every browser decodes. */
const UNSEEN = { tiff: "TIFF", heif: "HEIC", avif: "AVIF", webp: "WebP" };

/**
 * @param {Blob} file
 * @returns {Promise<{height, width, data: Uint8Array, alpha: Uint8Array|null, kind: string,
 *   notes: object, remark: string}>} alpha: null where all is opaque
 */
export async function read(file) {
  if (file.size > SITE.max_bytes) {
    throw new Error(
      `The file has ${mega(file.size)} MB and at most ${mega(SITE.max_bytes)} are taken; make it smaller first.`,
    );
  }
  if (file.size === 0) throw new Error("The file is empty; choose a photo.");
  const bytes = new Uint8Array(await contentOf(file));
  const kind = kindOf(bytes);
  if (!kind)
    throw new Error(
      "This file is no picture that can be painted; choose a JPEG, PNG, WebP or AVIF.",
    );
  const size = sizeOf(bytes, kind);
  if (size) check(...size);
  const notes = metadata.read(bytes, kind);
  const exact = kind === "png" ? await png.decode(bytes) : null;
  const picture = exact
    ? fromRows(exact, notes.orientation)
    : await fromBrowser(file, bytes, kind, notes);
  const remark = moves(bytes, kind) ? "Of an animation the first picture is painted." : "";
  return { ...picture, kind, notes, remark };
}

async function contentOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new Error("The file cannot be read any more; choose it again.");
  }
}

function mega(number) {
  return Math.ceil(number / 1e6).toLocaleString("en");
}

function check(width, height) {
  if (!width || !height) throw new Error("The picture has no pixels; choose another.");
  if (width * height > SITE.max_pixels) {
    throw new Error(
      `The photo has ${mega(width * height)} megapixels and at most ${mega(SITE.max_pixels)} are painted in a browser; make it smaller first.`,
    );
  }
}

function emptied(orientation, height, width) {
  const place = turned(orientation, height, width);
  const area = height * width;
  const picture = {
    height: place.height,
    width: place.width,
    data: new Uint8Array(3 * area),
    alpha: new Uint8Array(area),
  };
  return { place, picture };
}

/** Alpha that says nothing is left out. */
function settled(picture) {
  return { ...picture, alpha: picture.alpha.every((a) => a === 255) ? null : picture.alpha };
}

function fromRows({ height, width, rgba }, orientation) {
  const { place, picture } = emptied(orientation, height, width);
  spreadRows(rgba, 0, height, width, place, picture);
  return settled(picture);
}

async function fromBrowser(file, bytes, kind, notes) {
  // We turn pixels ourselves: which files browsers turn differs.
  const held = notes.orientation;
  const plain = held === 1 ? file : metadata.unturned(bytes, kind);
  let bitmap;
  try {
    bitmap = await createImageBitmap(plain, { premultiplyAlpha: "none" });
  } catch {
    const name = UNSEEN[kind];
    throw new Error(
      name
        ? `This browser does not decode this ${name} file; save the photo as a JPEG or PNG first.`
        : "The picture is damaged and cannot be decoded; choose another copy.",
    );
  }
  try {
    const { width, height } = bitmap;
    check(width, height);
    const { place, picture } = emptied(held, height, width);
    // A band at a time: the whole would take the room of two more pictures.
    const rows = Math.max(1, Math.min(height, Math.floor(SITE.band_pixels / width)));
    const canvas = new OffscreenCanvas(width, rows);
    const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    for (let top = 0; top < height; top += rows) {
      const count = Math.min(rows, height - top);
      context.clearRect(0, 0, width, rows);
      context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
      spreadRows(context.getImageData(0, 0, width, count).data, top, count, width, place, picture);
    }
    return settled(picture);
  } finally {
    bitmap.close();
  }
}
