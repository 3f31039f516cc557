/**
 * What a picture file says beside its pixels, from a photo to its painting. As `metadata.py`.
 *
 * Notes are {exif, orientation, xmp, iptc, comment, density, texts}: bytes or null each; exif
 * without its "Exif" header, upright and without a thumbnail; density as JFIF holds it; texts the
 * chunks of a PNG that can stay as they are.
 */

import * as png from "./png.js";
import { upright } from "./tiff.js";

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const PHOTOSHOP = "Photoshop 3.0\0";
const XMP_KEY = "XML:com.adobe.xmp";
const MOST = 65533; // bytes of a JPEG's segment

/** Bytes of ASCII or Latin-1 text. */
function bytesOf(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function textOf(bytes) {
  return new TextDecoder("latin1").decode(bytes);
}

function utf8(bytes) {
  return new TextEncoder().encode(new TextDecoder().decode(bytes));
}

function begins(bytes, text) {
  return textOf(bytes.subarray(0, text.length)) === text;
}

function joined(...parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

// --- reading --------------------------------------------------------------------------------

/** The notes of a file; what is broken is left out. */
export function read(bytes, kind) {
  const notes = {
    exif: null,
    orientation: 1,
    xmp: null,
    iptc: null,
    comment: null,
    density: null,
    texts: [],
  };
  if (kind === "jpeg") readJpeg(bytes, notes);
  if (kind === "png") readPng(bytes, notes);
  if (kind === "webp") readWebp(bytes, notes);
  return notes;
}

function takeExif(notes, block) {
  const found = upright(begins(block, EXIF) ? block.subarray(EXIF.length) : block);
  if (notes.exif || !found.block) return;
  notes.exif = found.block;
  notes.orientation = found.orientation;
}

function readJpeg(bytes, notes) {
  for (const { marker, data } of segments(bytes)) {
    if (marker === 0xe0 && begins(data, "JFIF\0") && data.length >= 12)
      notes.density = data.subarray(7, 12);
    if (marker === 0xe1 && begins(data, EXIF)) takeExif(notes, data);
    if (marker === 0xe1 && begins(data, XMP)) notes.xmp ??= keptXmp(data.subarray(XMP.length));
    if (marker === 0xed && begins(data, PHOTOSHOP))
      notes.iptc ??= iptcOf(data.subarray(PHOTOSHOP.length));
    if (marker === 0xfe && data.length) notes.comment ??= data;
  }
}

/** A JPEG's segments before its pixels. */
function* segments(bytes) {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) return;
    const size = bytes[at + 2] * 256 + bytes[at + 3];
    yield { marker, start: at, end: at + 2 + size, data: bytes.subarray(at + 4, at + 2 + size) };
    at += 2 + size;
  }
}

/** The IPTC records among Photoshop's resources. */
function iptcOf(resources) {
  const view = new DataView(resources.buffer, resources.byteOffset, resources.byteLength);
  for (let at = 0; at + 12 <= resources.length && begins(resources.subarray(at), "8BIM");) {
    const start = at + 6 + (((resources[at + 6] + 2) >> 1) << 1);
    if (start + 4 > resources.length) return null;
    const size = view.getUint32(start);
    const data = resources.subarray(start + 4, start + 4 + size);
    if (view.getUint16(at + 4) === 0x0404) return data[0] === 0x1c ? data : null;
    at = start + 4 + size + (size % 2);
  }
  return null;
}

function readPng(bytes, notes) {
  for (const { kind, data } of png.chunks(bytes)) {
    if (kind === "eXIf") takeExif(notes, data);
    else if (kind === "iTXt" && begins(data, XMP_KEY)) notes.xmp ??= xmpOf(data);
    else if (["tEXt", "zTXt", "iTXt", "pHYs"].includes(kind)) notes.texts.push({ kind, data });
  }
}

/** The packet in an iTXt chunk: keyword, two bytes, language, translated keyword, text. */
function xmpOf(data) {
  if (data[XMP_KEY.length + 1] !== 0) return null; // compressed, which writers of XMP do not do
  const language = data.indexOf(0, XMP_KEY.length + 3);
  const end = data.indexOf(0, language + 1);
  return language < 0 || end < 0 ? null : keptXmp(data.subarray(end + 1));
}

function readWebp(bytes, notes) {
  for (const { kind, data } of riff(bytes)) {
    if (kind === "EXIF") takeExif(notes, data);
    if (kind === "XMP ") notes.xmp ??= keptXmp(data);
  }
}

function* riff(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length;) {
    const size = view.getUint32(at + 4, true);
    yield { kind: textOf(bytes.subarray(at, at + 4)), data: bytes.subarray(at + 8, at + 8 + size) };
    at += 8 + size + (size % 2);
  }
}

/** An XMP packet that says what is true of a painting, all else as it was. */
function keptXmp(packet) {
  const text = textOf(packet)
    .replace(/(tiff:Orientation\s*=\s*["'])\d+(["'])/g, "$11$2")
    .replace(/(<tiff:Orientation>)\s*\d+\s*(<\/tiff:Orientation>)/g, "$11$2")
    // A gain map or a film behind the photo's pixels is not behind the painting's.
    .replace(/\s(?:hdrgm|HDRGainMap):\w+\s*=\s*(?:"[^"]*"|'[^']*')/g, "")
    .replace(/(GCamera:(?:MotionPhoto|MicroVideo)\s*=\s*["'])1(["'])/g, "$10$2");
  return latin(text);
}

/** The bytes that `textOf` read: its decoder is that of Windows, which moves some of them. */
function latin(text) {
  const back = new Map(WINDOWS);
  return Uint8Array.from(text, (letter) => back.get(letter) ?? letter.charCodeAt(0));
}

const WINDOWS = Array.from({ length: 32 }, (_, n) => [textOf(Uint8Array.of(128 + n)), 128 + n]);

/** The file with nothing in it by which a browser would turn its pixels. */
export function unturned(bytes, kind) {
  if (kind === "jpeg") {
    const keep = [bytes.subarray(0, 2)];
    let at = 2;
    for (const { marker, start, end, data } of segments(bytes)) {
      if (marker !== 0xe1 || !begins(data, EXIF)) keep.push(bytes.subarray(start, end));
      at = end;
    }
    return new Blob([...keep, bytes.subarray(at)]);
  }
  if (kind === "png") return png.joined([...png.chunks(bytes)].filter((c) => c.kind !== "eXIf"));
  const copy = bytes.slice();
  for (const { kind: name, data } of riff(copy)) if (name === "EXIF") data.fill(0);
  return new Blob([copy]);
}

// --- writing --------------------------------------------------------------------------------

/** A painting's file with the notes that its type can hold. */
export async function write(blob, notes) {
  if (!notes) return blob;
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const parts = { "image/jpeg": jpeg, "image/png": pngFile, "image/webp": webp }[blob.type];
  return parts ? new Blob(parts(bytes, notes), { type: blob.type }) : blob;
}

function jpeg(bytes, { exif, xmp, iptc, comment, density }) {
  const parts = [];
  const add = (marker, ...data) => {
    const whole = joined(...data);
    if (whole.length > MOST) return;
    parts.push(
      Uint8Array.of(0xff, marker, (whole.length + 2) >> 8, (whole.length + 2) & 255),
      whole,
    );
  };
  if (exif) add(0xe1, bytesOf(EXIF), exif);
  if (xmp) add(0xe1, bytesOf(XMP), xmp);
  if (iptc) add(0xed, bytesOf(PHOTOSHOP), resource(iptc));
  if (comment) add(0xfe, comment);
  const [first] = segments(bytes);
  const jfif = first?.marker === 0xe0 && begins(first.data, "JFIF\0");
  if (jfif && density) first.data.set(density, 7);
  const at = jfif ? first.end : 2;
  return [bytes.subarray(0, at), ...parts, bytes.subarray(at)];
}

function resource(iptc) {
  const head = new Uint8Array(12);
  head.set(bytesOf("8BIM\x04\x04"));
  new DataView(head.buffer).setUint32(8, iptc.length);
  return joined(head, iptc, new Uint8Array(iptc.length % 2));
}

function pngFile(bytes, { exif, xmp, comment, texts }) {
  const beside = [...texts];
  if (exif) beside.push({ kind: "eXIf", data: exif });
  if (xmp) beside.push({ kind: "iTXt", data: joined(bytesOf(`${XMP_KEY}\0\0\0\0\0`), xmp) });
  if (comment)
    beside.push({ kind: "iTXt", data: joined(bytesOf("Comment\0\0\0\0\0"), utf8(comment)) });
  const [header, ...rest] = png.chunks(bytes);
  return [png.joined([header, ...beside, ...rest])];
}

function webp(bytes, { exif, xmp }) {
  if (!exif && !xmp) return [bytes];
  const found = [...riff(bytes)];
  let head = found.find(({ kind }) => kind === "VP8X")?.data.slice();
  if (!head) head = extended(found[0]);
  head[0] |= (exif ? 8 : 0) | (xmp ? 4 : 0);
  const parts = [
    { kind: "VP8X", data: head },
    ...found.filter(({ kind }) => kind !== "VP8X"),
    ...(exif ? [{ kind: "EXIF", data: exif }] : []),
    ...(xmp ? [{ kind: "XMP ", data: xmp }] : []),
  ].map(({ kind, data }) => {
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, data.length, true);
    return joined(bytesOf(kind), size, data, new Uint8Array(data.length % 2));
  });
  const size = new Uint8Array(4);
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  new DataView(size.buffer).setUint32(0, length, true);
  return [bytesOf("RIFF"), size, bytesOf("WEBP"), ...parts];
}

/** The VP8X chunk that a simple WebP lacks: flags, and width and height less one. */
function extended({ kind, data }) {
  const head = new Uint8Array(10);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let [width, height] = [0, 0];
  if (kind === "VP8L") {
    const bits = view.getUint32(1, true);
    [width, height] = [bits & 0x3fff, (bits >> 14) & 0x3fff];
    if ((bits >> 28) & 1) head[0] = 16; // alpha
  } else {
    [width, height] = [6, 8].map((at) => (view.getUint16(at, true) & 0x3fff) - 1);
  }
  [width, height].forEach((side, n) =>
    head.set([side & 255, (side >> 8) & 255, side >> 16], 4 + 3 * n),
  );
  return head;
}
