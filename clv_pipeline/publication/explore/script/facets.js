// The cards: each shows how the selected customers fall into classes, and a click on a bar filters everything else.

const SHOWN = 10

/** The cards for what the shop knows; one whose customers are all in the same class is left out. */
function facetsOf(columns) {
  const made = [
    namesFacet('segment', say('Segment'), columns.segment),
    tierFacet(columns.value_tier),
    riskFacet(columns.at_risk),
    about.revenue === null
      ? edgesFacet('expected_purchases', say('Forecast purchases'), columns.expected_purchases.values)
      : edgesFacet('clv', inCurrency(say('CLV')), columns.clv.values),
    chanceFacet(columns.p_purchase),
    daysFacet(columns.days_since_last),
    cohortFacet(columns.cohort_month),
    namesFacet('country', say('Country'), columns.country),
    namesFacet('channel', say('Channel'), columns.channel),
    namesFacet('cluster', say('Cluster'), columns.cluster_name),
    namesFacet('action', say('Recommended action'), columns.recommended_action),
    ...Object.entries(about.attributes).map(([name, title]) => namesFacet(name, title, columns[name]))
  ]
  return made.filter(Boolean).map(({ key, title, codes, classes, order, read }) => facet(key, title, codes, classes, order, read))
}

/** What `facet` takes, or null where customers are not told apart; the classes that occur, the largest first. */
function classed(key, title, codes, classes, bySize = false) {
  const sizes = new Float64Array(classes.length)
  for (const code of codes) sizes[code]++
  const order = [...classes.keys()].filter(place => sizes[place])
  if (order.length < 2) return null
  return { key, title, codes, classes, order: bySize ? order.sort((a, b) => sizes[b] - sizes[a] || a - b) : order }
}

function unknown() {
  return { key: '', label: term('not known') }
}

function namesFacet(key, title, { names, codes }) {
  return classed(key, title, codes, [...names.map(name => ({ key: name, label: term(name) })), unknown()], true)
}

function tierFacet({ names, codes }) {
  const made = namesFacet('value_tier', say('Value tier'), { names, codes })
  const place = tier => ['high', 'middle', 'low'].indexOf(names[tier])
  return made && { ...made, order: made.order.sort((a, b) => place(a) - place(b)) }
}

function riskFacet({ values }) {
  const classes = [{ key: 'no', label: say('Not at risk') }, { key: 'yes', label: say('At risk') }]
  return classed('at_risk', say('At risk'), Uint8Array.from(values), classes, true)
}

function edgesFacet(key, title, values) {
  return betweenFacet(key, title, values, niceEdges(values), exact)
}

function daysFacet({ values }) {
  return betweenFacet('days_since_last', say('Days since the last purchase'), values, [7, 30, 60, 90, 180, 365, 730], count, 1)
}

/**
 * Classes between edges; a class holds its upper edge, and of whole numbers begins a `step` above the lower one.
 * Its key has the numbers of its label. The edges depend on the customers: `read` makes a class of the key of another version.
 */
function betweenFacet(key, title, values, edges, told, step = 0) {
  const classOf = (from, to) => ({
    key: [from ?? '', to ?? ''].join('_'),
    label: from === null ? say('up to {to}', { to: told(to) }) : to !== null ? say('{from} to {to}', { from: told(from), to: told(to) })
      : step ? say('{from} or more', { from: told(from) }) : say('more than {from}', { from: told(from) }),
    has: i => (from === null || (step ? values[i] >= from : values[i] > from)) && (to === null || values[i] <= to)
  })
  const read = name => {
    const [from, to] = limitsOf(name) ?? [null, null]
    return (from ?? to) === null ? null : classOf(from, to)
  }
  const lower = edges.map(edge => edge + step)
  const classes = edges.length
    ? [classOf(null, edges[0]), ...lower.map((from, place) => classOf(from, edges[place + 1] ?? null)), unknown()]
    : [{ key: '0', label: told(0) }, unknown()]
  const made = classed(key, title, binned(values, edges), classes)
  return made && { ...made, read }
}

function chanceFacet({ values }) {
  const tenths = [...Array(10).keys()]
  const classes = tenths.map(n => ({
    key: `${10 * n}_${10 * n + 10}`, label: say('{from} to {to}', { from: percent(n / 10), to: percent((n + 1) / 10) })
  }))
  const title = say('P(buy) within {days} days', { days: count(about.horizon_days) })
  return classed('p_purchase', title, Uint8Array.from(values, p => Math.min(9, Math.floor(p * 10 + 1e-9))), classes)
}

/** By month of the first purchase; by quarter or year where there are many, so that `read` knows all three. */
function cohortFacet({ values }) {
  const known = values.filter(value => !Number.isNaN(value))
  const [first, last] = known.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity])
  const months = [1, 3, 12].find(size => Math.floor(last / size) - Math.floor(first / size) < 15) ?? 12
  const begin = Math.floor(first / months)
  const periods = [...Array(known.length ? Math.floor(last / months) - begin + 1 : 0).keys()].map(n => begin + n)
  const classOf = (period, months) => ({
    key: periodKey(period, months), label: periodLabel(period, months), has: i => Math.floor(values[i] / months) === period
  })
  const read = name => {
    const [, year, quarter, within] = /^(\d{4})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?$/.exec(name) ?? []
    if (!year) return null
    const since = Number(year) - 1970
    if (quarter) return classOf(4 * since + Number(quarter) - 1, 3)
    return within ? classOf(12 * since + Number(within) - 1, 1) : classOf(since, 12)
  }
  const classes = [...periods.map(period => classOf(period, months)), unknown()]
  const codes = Uint16Array.from(values, value => Number.isNaN(value) ? periods.length : Math.floor(value / months) - begin)
  const made = classed('cohort', say('First purchase'), codes, classes)
  return made && { ...made, read }
}

function periodKey(period, months) {
  const year = 1970 + Math.floor(period * months / 12), within = period - (year - 1970) * 12 / months + 1
  return { 1: `${year}-${String(within).padStart(2, '0')}`, 3: `${year}-Q${within}`, 12: String(year) }[months]
}

function periodLabel(period, months) {
  if (months === 1) return month(period)
  const [year, quarter] = periodKey(period, months).split('-Q')
  return months === 12 ? year : say('Q{quarter} {year}', { quarter, year })
}

/** The card of a facet; `changed` is called after a click. */
function card(facet, changed) {
  const bar = place => {
    const { label } = facet.classes[place]
    const fill = element('span', { class: 'fill' })
    const amount = element('span', { class: 'amount' })
    const button = element('button', { type: 'button', class: 'bar', title: label, onclick: () => toggle(facet, place, changed) },
      element('span', { class: 'name' }, own(label)), element('span', { class: 'track' }, fill), amount)
    return { place, button, fill, amount }
  }
  facet.bars = facet.order.map(bar)
  const shown = facet.bars.slice(0, facet.order.length > SHOWN + 5 ? SHOWN : undefined)
  const folded = facet.bars.slice(shown.length)
  const made = element('fieldset', {}, element('legend', {}, own(facet.title)), ...shown.map(({ button }) => button))
  if (folded.length) {
    const summary = element('summary', {}, say_many(folded.length, '{number} more', '{number} more'))
    facet.rest = element('details', {}, summary, ...folded.map(({ button }) => button))
    made.append(facet.rest)
  }
  return made
}

function toggle(facet, place, changed) {
  const clicked = facet.classes[place]
  if (!facet.chosen.delete(clicked.key)) facet.chosen.set(clicked.key, clicked)
  changed(facet)
}

/** Show in a card how the selection falls into its classes. */
function refreshCard(facet, weights, written) {
  const sums = counted(facet, weights)
  const largest = sums.reduce((most, sum) => Math.max(most, sum), 0) || 1
  for (const { place, button, fill, amount } of facet.bars) {
    fill.style.width = `${100 * Math.max(0, sums[place]) / largest}%`
    amount.textContent = written(sums[place])
    button.setAttribute('aria-pressed', facet.chosen.has(facet.classes[place].key))
  }
}
