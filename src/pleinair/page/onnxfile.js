/**
 * Where the numbers of an ONNX file lie, so that some can be replaced. As `onnxfile.py`.
 */

import { fields } from "./protobuf.js";

const [GRAPH, INITIALIZER, NAME, RAW_DATA] = [7, 5, 8, 9];

/**
 * The bytes of a model with some of its initializers replaced by bytes of their size.
 *
 * @param {Uint8Array} data
 * @param {Record<string, Uint8Array|Float32Array>} values
 * @returns {Uint8Array}
 */
export function withInitializers(data, values) {
  const found = places(data);
  const changed = data.slice();
  for (const [name, array] of Object.entries(values)) {
    const [start, end] = found.get(name) ?? [0, 0];
    if (end - start !== array.byteLength) {
      throw new Error(
        `The painter's file holds ${end - start} bytes of ${name} and not ${array.byteLength}; ` +
          "use a file that pleinair export wrote.",
      );
    }
    changed.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), start);
  }
  return changed;
}

/** Start and end of the bytes of each initializer by name. */
function places(data) {
  const found = new Map();
  const text = new TextDecoder();
  try {
    for (const [field, start, end] of fields(data, 0, data.length)) {
      if (field !== GRAPH) continue;
      for (const [inner, first, last] of fields(data, start, end)) {
        if (inner !== INITIALIZER) continue;
        const parts = new Map();
        for (const [number, at, to] of fields(data, first, last)) parts.set(number, [at, to]);
        if (!parts.has(NAME) || !parts.has(RAW_DATA)) continue;
        found.set(text.decode(data.subarray(...parts.get(NAME))), parts.get(RAW_DATA));
      }
    }
  } catch (error) {
    throw new Error(`The painter's file is cut short or damaged (${error.message}).`);
  }
  return found;
}
