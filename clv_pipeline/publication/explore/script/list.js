// The list of the selected customers, a page at a time.

const ROWS = 50
const list = { sort: 'value', descending: true, page: 0 }

/** The columns of the list: heading, how a cell is written, and by which numbers it is sorted. */
function listColumns({ id, segment, days_since_last, orders, revenue, p_purchase, expected_purchases, expected_spend, clv,
                       value_at_stake, recommended_action }) {
  const hasMoney = about.revenue !== null
  const ofMoney = (key, heading, { values }) => {
    const decimals = coins(values)
    return { key, heading: inCurrency(heading), values, written: i => number(values[i], decimals), isNumber: true }
  }
  const ofNames = (key, heading, column) => ({
    key, heading, get values() { return column.ranks ??= ranks(column) }, written: i => term(column.names[column.codes[i]] ?? NOTHING)
  })
  return [
    { key: 'id', heading: say('Customer'), get values() { return id.ranks ??= ranksOfTexts(id.texts) }, written: i => id.texts[i] },
    ofNames('segment', say('Segment'), segment),
    { key: 'last', heading: say('Last purchase'), get values() { return days_since_last.negative ??= days_since_last.values.map(n => -n) },
      written: i => day(dayAt(-days_since_last.values[i])), isNumber: true },
    { key: 'orders', heading: say('Orders'), values: orders.values, written: i => count(orders.values[i]), isNumber: true },
    hasMoney && ofMoney('revenue', say('Revenue'), revenue),
    { key: 'p_purchase', heading: say('P(buy)'), values: p_purchase.values, written: i => share(p_purchase.values[i]), isNumber: true },
    hasMoney ? ofMoney('expected_spend', say('Forecast spend'), expected_spend)
      : { key: 'expected_purchases', heading: say('Forecast purchases'), values: expected_purchases.values,
          written: i => number(expected_purchases.values[i], 2), isNumber: true },
    hasMoney && ofMoney('clv', say('CLV'), clv),
    hasMoney && ofMoney('value_at_stake', say('At stake'), value_at_stake),
    ofNames('action', say('Recommended action'), recommended_action)
  ].filter(Boolean)
}

/** The selected customers in the order of the list; `value` is the order in which they are. */
function ordered(columns) {
  const customers = selected()
  if (list.sort === 'value') return list.descending ? customers : customers.slice().reverse()
  return sorted(customers, columns.find(({ key }) => key === list.sort).values, list.descending)
}

/** The head of the list, whose buttons sort. */
function headsOf(columns, sortBy) {
  return columns.map(({ key, heading, isNumber }) => element('th', { scope: 'col', class: isNumber && 'number', 'data-key': key },
    element('button', { type: 'button', onclick: () => sortBy(key) }, heading)))
}

/** Show the page of the list. */
function refreshList(customers, columns, opens) {
  const pages = Math.max(1, Math.ceil(customers.length / ROWS))
  list.page = Math.min(list.page, pages - 1)
  const from = list.page * ROWS
  const shown = [...customers.subarray(from, from + ROWS)]
  byId('rows').replaceChildren(...shown.map(i => rowOf(i, columns, opens)))
  byId('caption').textContent = shown.length
    ? say('{from} to {to} of {customers}', { from: count(from + 1), to: count(from + shown.length), customers: count(customers.length) })
    : say('No customer is like this.')
  byId('place').textContent = say('Page {page} of {pages}', { page: count(list.page + 1), pages: count(pages) })
  byId('previous').disabled = list.page === 0
  byId('next').disabled = list.page === pages - 1
  for (const head of byId('heads').children) {
    const isSorted = head.dataset.key === list.sort
    head.setAttribute('aria-sort', isSorted ? (list.descending ? 'descending' : 'ascending') : 'none')
    head.firstChild.classList.toggle('down', isSorted && list.descending)
    head.firstChild.classList.toggle('up', isSorted && !list.descending)
  }
}

function rowOf(i, columns, opens) {
  return element('tr', {}, ...columns.map(({ key, heading, isNumber, written }) => key === 'id'
    ? element('th', { scope: 'row' }, element('button', { type: 'button', class: 'id', onclick: () => opens(i) }, own(written(i))))
    : element('td', { class: isNumber && 'number', 'data-label': heading }, own(written(i)))))
}
