/** Binary messages of the server: see docs/design/studio.md. */

const KINDS = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array };
const utf8 = new TextDecoder();

/** Take a message apart: `{topic, step, data, arrays}`, the arrays as views with a `shape`. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(utf8.decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, { dtype, shape, offset }] of Object.entries(header.arrays ?? {})) {
    const n = shape.reduce((product, side) => product * side, 1);
    arrays[name] = Object.assign(new KINDS[dtype](buffer, 4 + length + offset, n), { shape });
  }
  return { ...header, arrays };
}
