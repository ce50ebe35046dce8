// Puts the page together, keeps its address, and answers what is clicked and typed.

const shown = { measure: 'customers', customer: null }

/** The state of an entry of the browser's history that was made when a customer was opened: one step back is the list. */
const OPENED = 'opened'

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
  function refreshAddress(isStep = false) {
    const link = linkOf(facets, ranges, sought)
    if (shown.customer !== null) link.set('customer', shown.customer)
    if (isStep) history.pushState(OPENED, '', `#${link}`)
    else history.replaceState(history.state, '', `#${link}`)
  }
  function changed(filter) {
    apply(filter)
    list.page = 0
    tellUnknown([])
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
    goToList()
  }
  /** The step back to the list while it is taken, which lasts a moment. */
  let returning = null
  /** Open a customer, from the list as a step that the browser's button takes back. */
  async function opens(i, isStep = true) {
    await Promise.all([describeCustomer(i, columns), returning])
    const dialog = byId('customer')
    shown.customer = columns.id.texts[i]
    refreshAddress(isStep && !dialog.open)
    if (!dialog.open) dialog.showModal()
    dialog.scrollTop = 0
  }
  function closed() {
    if (shown.customer === null) return
    shown.customer = null
    if (history.state !== OPENED) return refreshAddress()
    returning = new Promise(done => window.addEventListener('popstate', () => { returning = null; refreshAddress(); done() }, { once: true }))
    history.back()
  }
  /** Take over what an address holds. */
  function follow() {
    const link = new URLSearchParams(location.hash.slice(1))
    const customer = link.get('customer')
    link.delete('customer')
    // A step between a customer and the list leaves the list as it is, and what has the focus there.
    const isSame = customers && `${link}` === `${linkOf(facets, ranges, sought)}`
    const left = isSame ? [] : readLink(link, facets, ranges, sought, measures, listed)
    if (!isSame) showSelection()
    const i = customer === null ? -1 : columns.id.texts.indexOf(customer)
    if (customer !== null && i < 0) left.push([say('Customer'), customer].join(': '))
    tellUnknown(left)
    if (i >= 0) {
      opens(i, false)
    } else {
      shown.customer = null
      byId('customer').close()
      refreshAddress()
    }
  }
  /** Everything anew after an address has been read. */
  function showSelection() {
    for (const filter of filters) apply(filter)
    byId('search').value = sought.sought.text
    byId('measure').value = shown.measure
    for (const { inputs, limits } of ranges) [inputs.from.value, inputs.to.value] = [limits.from ?? '', limits.to ?? '']
    for (const { rest, bars, chosen, classes } of facets) {
      if (rest && bars.slice(SHOWN).some(({ place }) => chosen.has(classes[place].key))) rest.open = true
    }
    byId('more').open ||= ranges.some(range => range.passes())
    refresh()
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
  byId('clear').addEventListener('click', () => { history.replaceState(history.state, '', '#'); follow(); keepFocus() })
  byId('download').addEventListener('click', () => download(`customers_${about.as_of}.csv`, csvOf(customers, columns)))
  byId('customer').addEventListener('close', closed)
  // The address holds the selection: it has no room for a place on the page.
  byId('skip').addEventListener('click', event => { event.preventDefault(); goToList() })
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
    ...(about.revenue === null ? [ofPurchases] : ofMoney).map(measure => ({ ...measure, written: sum => number(sum, coins([measure.of])) }))
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
    const written = value => number(value, place ? coins([of]) : 0)
    return [label, written(sum), element('dd', { class: 'part' }, say('{share} of the shop: {total}', { share: share(of ? sum / of : 0), total: written(of) }))]
  }))
  byId('status').textContent = say_many(customers.length, '{number} customer is selected.', '{number} customers are selected.')
}

/** What is filtered by, each with a button that ends it. */
function refreshChosen(facets, ranges, sought, changed) {
  const chip = (label, ends, filter) => element('li', {}, element('button', { type: 'button', 'aria-label': say('Remove the filter {filter}', { filter: label }),
    onclick: () => { ends(); changed(filter); keepFocus() } }, own(label), ' ✕'))
  byId('chosen').replaceChildren(
    ...facets.flatMap(facet => [...facet.chosen.values()].map(({ key, label }) => chip(`${facet.title}: ${label}`, () => facet.chosen.delete(key), facet))),
    ...ranges.filter(range => range.passes()).map(range => chip(`${range.title}: ${[range.limits.from, range.limits.to].map(limit => limit === null ? '' : exact(limit)).join(' – ')}`,
      () => { range.limits.from = range.limits.to = null; range.inputs.from.value = range.inputs.to.value = '' }, range)),
    ...(sought.sought.text ? [chip([say('Search by id'), sought.sought.text].join(': '), () => { sought.sought.text = byId('search').value = '' }, sought)] : [])
  )
  byId('clear').disabled = !byId('chosen').children.length
}

/** A button that is gone, or disabled, has lost the focus to the beginning of the page. */
function keepFocus() {
  byId(byId('clear').disabled ? 'selection-title' : 'clear').focus()
}

function goToList() {
  byId('list').focus({ preventScroll: true })
  byId('list').scrollIntoView()
}

/** Say what a link asks for and this page does not have. */
function tellUnknown(left) {
  byId('unknown').hidden = !left.length
  byId('unknown').replaceChildren(own(left.length ? say('The link asks for what is not on this page, and it is left out: {names}.', { names: left.join(', ') }) : ''))
}

/** The selection as the part of an address after #, which the customer who is open is added to. */
function linkOf(facets, ranges, sought) {
  const link = new URLSearchParams()
  for (const { key, chosen } of facets) for (const name of chosen.keys()) link.append(key, name)
  for (const { key, limits, passes } of ranges) if (passes()) link.set(key, `${limits.from ?? ''}_${limits.to ?? ''}`)
  if (sought.sought.text) link.set('id', sought.sought.text)
  if (shown.measure !== 'customers') link.set('bars', shown.measure)
  if (list.sort !== 'value' || !list.descending) link.set('sort', `${list.descending ? '-' : ''}${list.sort}`)
  if (list.page) link.set('page', list.page + 1)
  return link
}

/** Take the selection from a link; what this shop does not know is left out, and returned in words. */
function readLink(link, facets, ranges, sought, measures, listed) {
  const left = []
  for (const { key, title, chosen, named } of facets) {
    chosen.clear()
    for (const name of link.getAll(key)) {
      const found = named(name)
      if (found) chosen.set(name, found)
      else left.push([title, term(name || 'not known')].join(': '))
    }
  }
  for (const { key, title, limits } of ranges) {
    const [from, to] = limitsOf(link.get(key) ?? '_') ?? [null, null]
    Object.assign(limits, { from, to })
    if (link.has(key) && (from ?? to) === null) left.push([title, link.get(key)].join(': '))
  }
  sought.sought.text = link.get('id') ?? ''
  const [sort, isAscending] = [(link.get('sort') ?? 'value').replace(/^-/, ''), link.has('sort') && !link.get('sort').startsWith('-')]
  const names = { bars: measures, sort: [{ key: 'value' }, ...listed] }
  const known = (name, value) => names[name].some(({ key }) => key === value)
  shown.measure = known('bars', link.get('bars')) ? link.get('bars') : 'customers'
  list.sort = known('sort', sort) ? sort : 'value'
  list.descending = !isAscending
  list.page = Math.max(0, Math.floor(Number(link.get('page') ?? 1)) - 1) || 0
  const read = new Set([...filters.map(({ key }) => key), 'page', ...(known('sort', sort) ? ['sort'] : []), ...(shown.measure === link.get('bars') ? ['bars'] : [])])
  for (const [key, value] of link) if (!read.has(key)) left.push([key, value].join(': '))
  return left
}

start().catch(error => {
  byId('status').textContent = `${byId('status').dataset.failed} (${error.message})`
  throw error
})
