// Which customers are selected: filters that each set a bit of every customer who does not pass.

/** A bit per filter; who has none is selected. */
let failed
const filters = []

/** A filter under a name that links know; `passes` gives a test of a customer's number, or null when it is off. */
function filter(key, passes, rest = {}) {
  const made = { key, bit: 1 << filters.length, passes, ...rest }
  filters.push(made)
  return made
}

/**
 * A filter by one of several classes, which is a chart, too.
 * codes: the class of every customer; classes: { key, label } of each; order: in which they are shown, all by default.
 * read: makes a class { key, label, has } of a key that a link may hold though it is no class here; `has` tests a customer.
 */
function facet(key, title, codes, classes, order = [...classes.keys()], read = () => null) {
  const chosen = new Map()
  const passes = () => {
    if (!chosen.size) return null
    const allowed = classes.map(({ key: name }) => chosen.has(name))
    const others = [...chosen.values()].filter(one => !classes.includes(one))
    return i => allowed[codes[i]] || others.some(({ has }) => has(i))
  }
  /** The class of a key, or null. */
  const named = name => order.map(place => classes[place]).find(one => one.key === name) ?? read(name)
  return filter(key, passes, { title, codes, classes, chosen, order, named })
}

/** The numbers of a text from_to, of which one may be missing; null where the text is none. */
function limitsOf(text) {
  const limits = text.split('_').map(part => part === '' ? null : Number(part))
  return limits.length === 2 && limits.every(limit => limit === null || Number.isFinite(limit)) ? limits : null
}

/** A filter by the smallest and the largest value. */
function range(key, title, values, unit = 1) {
  const limits = { from: null, to: null }
  const passes = () => {
    if (limits.from === null && limits.to === null) return null
    const from = limits.from === null ? -Infinity : limits.from / unit
    const to = limits.to === null ? Infinity : limits.to / unit
    return i => values[i] >= from && values[i] <= to
  }
  return filter(key, passes, { title, limits })
}

/** A filter by a part of the id, in any case. */
function search(ids) {
  const sought = { text: '' }
  let lower
  const passes = () => {
    if (!sought.text) return null
    lower ??= ids.map(id => id.toLowerCase())
    const text = sought.text.toLowerCase()
    return i => lower[i].includes(text)
  }
  return filter('id', passes, { sought })
}

/** Test all customers anew by one filter. */
function apply(filter) {
  const test = filter.passes()
  if (!test && !filter.isOn) return
  filter.isOn = test !== null
  for (let i = 0; i < failed.length; i++) {
    if (test && !test(i)) failed[i] |= filter.bit
    else failed[i] &= ~filter.bit
  }
}

/** The sum of what customers weigh, by class, of those whom all other filters let pass. */
function counted({ codes, classes, bit }, weights) {
  const sums = new Float64Array(classes.length)
  for (let i = 0; i < failed.length; i++) {
    if (!(failed[i] & ~bit)) sums[codes[i]] += weights ? weights[i] || 0 : 1
  }
  return sums
}

/** The numbers of the selected customers, in their order of value. */
function selected() {
  const found = new Uint32Array(failed.length)
  let size = 0
  for (let i = 0; i < failed.length; i++) if (!failed[i]) found[size++] = i
  return found.subarray(0, size)
}

/** The sum of a column over some customers; what is missing counts nothing. */
function summed(customers, values) {
  let sum = 0
  for (const i of customers) sum += values[i] || 0
  return sum
}

/** Some customers by a column of numbers, which is NaN where it is missing: those come last either way. */
function sorted(customers, values, descending) {
  const sign = descending ? -1 : 1
  return customers.slice().sort((a, b) => {
    const x = values[a], y = values[b]
    if (x === y) return a - b
    if (x !== x) return y !== y ? a - b : 1
    return y !== y ? -1 : sign * (x - y)
  })
}

/** Numbers in whose order names stand as the language sorts them. */
function ranks({ names, codes }) {
  const collator = new Intl.Collator(about.locale)
  const order = names.map((_, code) => code).sort((a, b) => collator.compare(term(names[a]), term(names[b])))
  const rank = new Float64Array(names.length + 1).fill(NaN)
  order.forEach((code, place) => { rank[code] = place })
  return Float64Array.from(codes, code => rank[code])
}

/** The place of every id in the order of ids. */
function ranksOfTexts(texts) {
  const order = Uint32Array.from(texts, (_, i) => i).sort((a, b) => texts[a] < texts[b] ? -1 : texts[a] > texts[b] ? 1 : 0)
  const rank = new Float64Array(texts.length)
  order.forEach((i, place) => { rank[i] = place })
  return rank
}

/** The place of every value among ascending edges: 0 below or at the first one; what is missing is in the last class. */
function binned(values, edges) {
  return Uint8Array.from(values, value => {
    if (Number.isNaN(value)) return edges.length + 1
    let low = 0
    while (low < edges.length && value > edges[low]) low++
    return low
  })
}

/** At most nine edges 1, 2, 5, 10 … that a column of values falls between. */
function niceEdges(values) {
  const known = Float64Array.from(values).filter(value => value > 0).sort()
  if (!known.length) return []
  const low = known[Math.floor(known.length * 0.02)], high = known[Math.floor(known.length * 0.99)]
  const edges = []
  for (let exponent = -3; exponent < 15; exponent++) {
    for (const digit of [1, 2, 5]) {
      const edge = Number(`${digit}e${exponent}`)
      if (edge >= low && edge < high) edges.push(edge)
    }
  }
  return edges.length <= 9 ? edges : edges.filter((_, place) => (edges.length - 1 - place) % Math.ceil(edges.length / 9) === 0)
}
