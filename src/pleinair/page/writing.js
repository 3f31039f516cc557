/**
 * A painting to a file: of the photo's own type where the browser writes it, else a JPEG.
 */

import * as metadata from "./metadata.js";
import { gathered } from "./pictures.js";
import * as png from "./png.js";
import { PAINT, SITE } from "./settings.js";

const TYPES = { jpeg: "image/jpeg", png: "image/png", webp: "image/webp" };
const SUFFIXES = { "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp" };

/**
 * @param {object} picture levels with alpha or null
 * @param {string} kind of the photo
 * @param {object|null} notes to keep
 * @returns {Promise<{blob: Blob, suffix: string}>}
 */
export async function encode(picture, kind, notes) {
  // What is neither, a GIF or an AVIF, keeps what is seen through in a PNG.
  let type = TYPES[kind] ?? (picture.alpha ? "image/png" : "image/jpeg");
  let blob = await encoded(picture, type);
  if (blob.type !== type) {
    // The browser does not write this type, and gave a PNG without a word.
    type = picture.alpha ? "image/png" : "image/jpeg";
    blob = await encoded(picture, type);
  }
  return { blob: await metadata.write(blob, notes), suffix: SUFFIXES[type] };
}

async function encoded(picture, type) {
  const { height, width, alpha } = picture;
  if (type === "image/png") return png.encode(height, width, gathered(picture, 0, height), !alpha);
  const canvas = new OffscreenCanvas(width, height);
  const white = type === "image/jpeg";
  const context = canvas.getContext("2d", { alpha: !white && alpha !== null, colorSpace: "srgb" });
  if (!context)
    throw new Error(
      "This browser has too little memory for a painting of this size; make the photo smaller first.",
    );
  const rows = Math.max(1, Math.floor(SITE.band_pixels / width));
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.putImageData(new ImageData(gathered(picture, top, count, white), width, count), 0, top);
  }
  return canvas.convertToBlob({ type, quality: PAINT.jpeg_quality / 100 });
}
