// Puts the page together, keeps its address, and answers what is clicked and typed.

const shown = { measure: 'customers', customer: null }

async function start() {
  const read = await unpacked('customers')
  about = read
  const { columns } = read
  failed = new Uint32Array(columns.id.texts.length)
  const facets = facetsOf(columns)
  const ranges = rangesOf(columns)
  const sought = search(columns.id.texts)
  const measures = measuresOf(columns)
  const listed = listColumns(columns)
  let customers

  /** Everything anew after a filter has changed. */
  function refresh() {
    const { values, written } = measures.find(({ key }) => key === shown.measure)
    for (const facet of facets) refreshCard(facet, values, written)
    customers = ordered(listed)
    refreshTotals(customers, measures)
    refreshChosen(facets, ranges, sought, changed)
    refreshRows()
  }
  function refreshRows() {
    refreshList(customers, listed, opens)
    byId('download').disabled = !customers.length
    byId('sort').value = list.sort
    byId('direction').textContent = list.descending ? say('largest first') : say('smallest first')
    refreshAddress()
  }
  function refreshAddress() {
    history.replaceState(null, '', `#${linkOf(facets, ranges, sought)}`)
  }
  function changed(filter) {
    apply(filter)
    list.page = 0
    refresh()
  }
  function sortBy(key) {
    list.descending = list.sort === key ? !list.descending : !['id', 'segment', 'action'].includes(key)
    list.sort = key
    list.page = 0
    customers = ordered(listed)
    refreshRows()
  }
  function turnTo(page) {
    list.page = page
    refreshRows()
    byId('list').focus({ preventScroll: true })
    byId('list').scrollIntoView()
  }
  async function opens(i) {
    await describeCustomer(i, columns)
    shown.customer = columns.id.texts[i]
    refreshAddress()
    if (!byId('customer').open) byId('customer').showModal()
    byId('customer').scrollTop = 0
  }
  /** Take over what an address holds. */
  function follow() {
    readLink(facets, ranges, sought, measures, listed)
    for (const filter of filters) apply(filter)
    byId('search').value = sought.sought.text
    byId('measure').value = shown.measure
    for (const { inputs, limits } of ranges) [inputs.from.value, inputs.to.value] = [limits.from ?? '', limits.to ?? '']
    for (const { rest, bars, chosen, classes } of facets) {
      if (rest && bars.slice(SHOWN).some(({ place }) => chosen.has(classes[place].key))) rest.open = true
    }
    byId('more').open ||= ranges.some(range => range.passes())
    const open = shown.customer
    refresh()
    const i = open === null ? -1 : columns.id.texts.indexOf(open)
    if (i >= 0) opens(i)
  }

  byId('facets').replaceChildren(...facets.map(facet => card(facet, changed)))
  byId('ranges').replaceChildren(...ranges.map(range => rangeInputs(range, changed)))
  byId('measure').replaceChildren(...measures.map(({ key, label }) => element('option', { value: key }, label)))
  byId('sort').replaceChildren(element('option', { value: 'value' }, say('Value')), ...listed.map(({ key, heading }) => element('option', { value: key }, heading)))
  byId('heads').replaceChildren(...headsOf(listed, sortBy))
  byId('search').addEventListener('input', ({ target }) => { sought.sought.text = target.value.trim(); changed(sought) })
  byId('measure').addEventListener('change', ({ target }) => { shown.measure = target.value; refresh() })
  byId('sort').addEventListener('change', ({ target }) => { list.sort = null; sortBy(target.value) })
  byId('direction').addEventListener('click', () => { list.descending = !list.descending; list.page = 0; customers = ordered(listed); refreshRows() })
  byId('previous').addEventListener('click', () => turnTo(list.page - 1))
  byId('next').addEventListener('click', () => turnTo(list.page + 1))
  byId('clear').addEventListener('click', () => { history.replaceState(null, '', '#'); follow() })
  byId('download').addEventListener('click', () => download(`customers_${about.as_of}.csv`, csvOf(customers, columns)))
  byId('customer').addEventListener('close', () => { shown.customer = null; refreshAddress() })
  window.addEventListener('hashchange', follow)
  byId('filters').open = !matchMedia('(max-width: 700px)').matches
  byId('page').hidden = false
  follow()
}

function measuresOf({ revenue, expected_spend, expected_purchases, clv }) {
  const ofMoney = [
    { key: 'revenue', label: inCurrency(say('Revenue')), values: revenue.values, of: about.revenue },
    { key: 'expected_spend', label: inCurrency(say('Forecast spend')), values: expected_spend.values, of: about.expected_spend },
    { key: 'clv', label: inCurrency(say('CLV')), values: clv.values, of: about.clv }
  ]
  const ofPurchases = { key: 'expected_purchases', label: say('Forecast purchases'), values: expected_purchases.values, of: about.expected_purchases }
  return [
    { key: 'customers', label: say('Customers'), values: null, of: about.customers, written: count },
    ...(about.revenue === null ? [ofPurchases] : ofMoney).map(measure => ({ ...measure, written: sum => amount(sum, coins([measure.of])) }))
  ]
}

function rangesOf({ revenue, clv, p_purchase, days_since_last, orders }) {
  return [
    ...(about.revenue === null ? [] : [range('revenue_from', inCurrency(say('Revenue')), revenue.values), range('clv_from', inCurrency(say('CLV')), clv.values)]),
    range('p_purchase_from', say('P(buy), in %'), p_purchase.values, 100),
    range('days_from', say('Days since the last purchase'), days_since_last.values),
    range('orders_from', say('Orders'), orders.values)
  ]
}

function rangeInputs(range, changed) {
  const input = (end, label) => element('input', {
    type: 'number', step: 'any', 'aria-label': `${range.title}, ${label}`, placeholder: label,
    oninput: ({ target }) => { range.limits[end] = target.value === '' ? null : Number(target.value); changed(range) }
  })
  range.inputs = { from: input('from', say('from')), to: input('to', say('to')) }
  return element('fieldset', {}, element('legend', {}, range.title), range.inputs.from, ' ', range.inputs.to)
}

/** The totals of the selection beside those of the shop. */
function refreshTotals(customers, measures) {
  // Each amount is rounded to a coin: of everybody, the sum is the shop's to the last one.
  const isAll = customers.length === measures[0].of
  const sumOf = (values, of) => isAll ? of : summed(customers, values)
  const atStake = about.at_stake ? { label: inCurrency(say('At stake')), sum: sumOf(about.columns.value_at_stake.values, about.at_stake), of: about.at_stake } : null
  const totals = measures.map(({ label, values, of }) => ({ label, sum: values ? sumOf(values, of) : customers.length, of }))
  describe(byId('totals'), [...totals, ...(atStake ? [atStake] : [])].map(({ label, sum, of }, place) => {
    const written = value => place ? amount(value, coins([of])) : count(value)
    return [label, written(sum), element('dd', { class: 'part' }, say('{share} of the shop: {total}', { share: share(of ? sum / of : 0), total: written(of) }))]
  }))
  byId('status').textContent = say_many(customers.length, '{number} customer is selected.', '{number} customers are selected.')
}

/** What is filtered by, each with a button that ends it. */
function refreshChosen(facets, ranges, sought, changed) {
  const chip = (label, ends, filter) => element('li', {}, element('button', { type: 'button', 'aria-label': say('Remove the filter {filter}', { filter: label }),
    onclick: () => { ends(); changed(filter); byId('clear').focus() } }, own(label), ' ✕'))
  byId('chosen').replaceChildren(
    ...facets.flatMap(facet => facet.order.filter(place => facet.chosen.has(facet.classes[place].key)).map(place =>
      chip(`${facet.title}: ${facet.classes[place].label}`, () => facet.chosen.delete(facet.classes[place].key), facet))),
    ...ranges.filter(range => range.passes()).map(range => chip(`${range.title}: ${range.limits.from ?? ''} – ${range.limits.to ?? ''}`,
      () => { range.limits.from = range.limits.to = null; range.inputs.from.value = range.inputs.to.value = '' }, range)),
    ...(sought.sought.text ? [chip([say('Search by id'), sought.sought.text].join(': '), () => { sought.sought.text = byId('search').value = '' }, sought)] : [])
  )
  byId('clear').disabled = !byId('chosen').children.length
}

/** The selection as the part of an address after #. */
function linkOf(facets, ranges, sought) {
  const link = new URLSearchParams()
  for (const { key, chosen } of facets) for (const name of chosen) link.append(key, name)
  for (const { key, limits, passes } of ranges) if (passes()) link.set(key, `${limits.from ?? ''}_${limits.to ?? ''}`)
  if (sought.sought.text) link.set('id', sought.sought.text)
  if (shown.measure !== 'customers') link.set('bars', shown.measure)
  if (list.sort !== 'value' || !list.descending) link.set('sort', `${list.descending ? '-' : ''}${list.sort}`)
  if (list.page) link.set('page', list.page + 1)
  if (shown.customer !== null) link.set('customer', shown.customer)
  return link.toString()
}

/** Take the selection from the address; what this shop does not know is left out. */
function readLink(facets, ranges, sought, measures, listed) {
  const link = new URLSearchParams(location.hash.slice(1))
  for (const { key, chosen, order, classes } of facets) {
    const known = new Set(order.map(place => classes[place].key))
    chosen.clear()
    for (const name of link.getAll(key)) if (known.has(name)) chosen.add(name)
  }
  for (const { key, limits } of ranges) {
    const [from, to] = (link.get(key) ?? '').split('_').map(text => text === '' || Number.isNaN(Number(text)) ? null : Number(text))
    Object.assign(limits, { from: from ?? null, to: to ?? null })
  }
  sought.sought.text = link.get('id') ?? ''
  const known = (name, things) => things.some(({ key }) => key === name)
  shown.measure = known(link.get('bars'), measures) ? link.get('bars') : 'customers'
  const sort = link.get('sort') ?? '-value'
  list.descending = sort.startsWith('-')
  list.sort = known(sort.replace('-', ''), listed) ? sort.replace('-', '') : 'value'
  list.page = Math.max(0, Math.floor(Number(link.get('page') ?? 1)) - 1) || 0
  shown.customer = link.get('customer')
}

start().catch(error => {
  byId('status').textContent = `${byId('status').dataset.failed} (${error.message})`
  throw error
})
