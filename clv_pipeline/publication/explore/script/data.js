// Reads what packing.py has packed: columns of numbers, of names and of ids.
'use strict'

/** The head of what is packed in an element of the page, with its columns by name. */
async function unpacked(id) {
  const packed = new Blob([bytesOf(document.getElementById(id).textContent)])
  const buffer = await new Response(packed.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer()
  const bytes = new Uint8Array(buffer)
  const length = new DataView(buffer).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  let start = 4 + length
  const columns = {}
  for (const column of head.columns) {
    columns[column.name] = columnOf(column, buffer, start)
    start += column.rows * (column.bytes ?? 0)
  }
  return { ...head, columns }
}

function bytesOf(base64) {
  const letters = atob(base64)
  const bytes = new Uint8Array(letters.length)
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i)
  return bytes
}

/** `texts` of ids, `codes` and `names` of names, `values` of numbers, where NaN is one that is missing. */
function columnOf({ texts, names, rows, bytes, base, decimals }, buffer, start) {
  if (texts) return { texts }
  if (bytes === 8) return { values: new Float64Array(buffer.slice(start, start + 8 * rows)) }
  const whole = integers(new Uint8Array(buffer, start, rows * bytes), rows, bytes)
  const missing = 2 ** (8 * bytes) - 1
  if (names) return { names, codes: whole.map(code => code === missing ? names.length : code + base) }
  const unit = 10 ** decimals
  const values = new Float64Array(rows)
  for (let i = 0; i < rows; i++) values[i] = whole[i] === missing ? NaN : (base + whole[i]) / unit
  return { values }
}

/** Integers that lie byte by byte, the lowest bytes of all first. */
function integers(bytes, rows, width) {
  const values = new Uint32Array(rows)
  for (let k = 0; k < width; k++) {
    for (let i = 0; i < rows; i++) values[i] |= bytes[k * rows + i] << (8 * k)
  }
  return values
}
