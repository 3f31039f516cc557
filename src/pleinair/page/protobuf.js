/**
 * The wire format of protobuf, as far as reading one known message takes it. As `protobuf.py`.
 *
 * https://protobuf.dev/programming-guides/encoding/
 */

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];

/**
 * Number, start and end of each length-delimited field of the message that lies there.
 *
 * @param {Uint8Array} data
 * @returns {Generator<[number, number, number]>}
 */
export function* fields(data, start, end) {
  let at = start;
  while (at < end) {
    const [key, first] = varint(data, at);
    const kind = key & 7;
    let from = first;
    if (kind === BYTES) {
      const [length, after] = varint(data, first);
      from = after;
      at = after + length;
    } else if (kind === VARINT) {
      at = varint(data, first)[1];
    } else if (kind === FIXED64 || kind === FIXED32) {
      at = first + (kind === FIXED64 ? 8 : 4);
    } else {
      throw new Error(`wire type ${kind}`);
    }
    if (at > end) throw new Error("a field longer than its message");
    if (kind === BYTES) yield [Math.floor(key / 8), from, at];
  }
}

function varint(data, position) {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (position >= data.length) break;
    const byte = data[position++];
    value += (byte & 0x7f) * 2 ** shift; // more than 32 bits: no bitwise operator
    if (byte < 0x80) return [value, position];
  }
  throw new Error("a number that does not end");
}
