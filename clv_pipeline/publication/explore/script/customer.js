// One customer: what was bought, what is forecast, their rhythm, why, and what to do.

let details

/** The details of the best customers, unpacked once somebody is opened. */
function withDetails() {
  details ??= unpacked('details').then(({ columns }) => {
    const starts = [0]
    for (const months of columns.months.values) starts.push(starts.at(-1) + months)
    return { ...columns, starts }
  })
  return details
}

/** Fill the dialog with what is known of a customer, by their number. */
async function describeCustomer(i, columns) {
  const parts = [
    element('h2', { id: 'customer-title' }, own(columns.id.texts[i])),
    element('p', { class: 'muted' }, ...tags(i, columns).flatMap(tag => [own(tag), ' · ']).slice(0, -1)),
    describe(element('dl', { class: 'facts' }), whatIsKnown(i, columns))
  ]
  if (i < about.details) {
    const all = await withDetails()
    parts.push(purchasesOf(i, all), forecastsOf(i, all), reasonsOf(i, all), describe(element('dl', { class: 'facts' }), whatMore(i, columns, all)))
  } else {
    parts.push(element('p', { class: 'note' }, say('Purchases by month, forecasts of all horizons and reasons are here for the best {best} customers. `clv explain` tells them of everybody.', { best: count(about.details) })))
  }
  byId('customer-body').replaceChildren(...parts)
}

function tags(i, columns) {
  const named = [['segment'], ['cluster_name'], ['value_tier', say('Value tier')], ['country'], ['channel', say('Channel')],
    ...Object.entries(about.attributes)]
  return named.filter(([name]) => columns[name].codes[i] < columns[name].names.length).map(([name, title]) => {
    const value = term(columns[name].names[columns[name].codes[i]])
    return title ? `${title}: ${value}` : value
  })
}

function whatIsKnown(i, columns) {
  const value = name => columns[name].values[i]
  const name = column => term(columns[column].names[columns[column].codes[i]] ?? NOTHING)
  const contact = columns.contact_channel.names[columns.contact_channel.codes[i]]
  return [
    [say('What to do'), name('recommended_action'), contact && contact !== 'no contact' ? say('by {channel}', { channel: term(contact) }) : ''],
    [say('Rhythm'), rhythm(value('usual_gap_days')), overdue(value('overdue_days'))],
    [say('At stake'), value('at_risk') && about.revenue !== null ? money(value('value_at_stake')) : null,
      say('margin at their own rate within {days} days, beyond what is forecast', { days: count(about.horizon_days) })],
    [say('Last purchase'), day(dayAt(-value('days_since_last'))), say_many(value('days_since_last'), '{number} day ago', '{number} days ago')],
    [say('Revenue so far'), money(value('revenue')), say_many(value('orders'), 'in {number} order', 'in {number} orders')],
    [say('Orders'), about.revenue === null ? count(value('orders')) : null],
    [say('P(buy) within {days} days', { days: count(about.horizon_days) }), share(value('p_purchase'))],
    [say('CLV'), money(value('clv')), say('rank {rank} of {customers}', { rank: count(value('clv_rank')), customers: count(about.customers) })]
  ]
}

function rhythm(gap) {
  return Number.isNaN(gap) ? null : say_many(Math.round(gap), 'usually every {number} day', 'usually every {number} days')
}

function overdue(days) {
  return Number.isNaN(days) ? say('not overdue') : say('overdue since {day}', { day: day(dayAt(-days)) })
}

function whatMore(i, columns, all) {
  const value = name => all[name].values[i]
  const next = columns.next_order_days.values[i]
  const hasModel = !Number.isNaN(value('p_alive'))
  return [
    [say('Next order'), Number.isNaN(next) ? (hasModel ? say('more likely than not there is none') : null)
      : say('as likely as not by {day}', { day: day(dayAt(next)) })],
    [say('Still a customer'), share(value('p_alive')), say('the probability of it')],
    [say('Buys within 30, 90, 365 days'), Number.isNaN(value('p_purchase_30_days')) ? null
      : [30, 90, 365].map(days => share(value(`p_purchase_${days}_days`))).join(', ')],
    [say('First purchase'), day(dayAt(-value('tenure_days'))), say_many(value('tenure_days'), '{number} day ago', '{number} days ago')],
    [say('Revenue per order'), money(columns.average_order_value.values[i])],
    [say('Forecast of a purchase day'), money(value('order_value'))],
    [say('Value so far and forecast'), Number.isNaN(value('total_value')) ? null
      : `${money(value('historic_value'))} + ${money(columns.clv.values[i])} = ${money(value('total_value'))}`, say('in margin')],
    [say('Lifetime value'), money(columns.lifetime_value.values[i]), say('the CLV without a horizon')],
    [say('Scores, 5 is best'), ['r', 'f', 'm'].filter(score => !Number.isNaN(value(`${score}_score`)))
      .map(score => `${score.toUpperCase()} ${value(`${score}_score`)}`).join(', ')]
  ]
}

/** A bar for every month from the first purchase to the last day of history. */
function purchasesOf(i, all) {
  const rows = numbers(all.starts[i], all.starts[i + 1])
  const last = (n => 12 * (n.getUTCFullYear() - 1970) + n.getUTCMonth())(dayAt(0))
  const first = rows.length ? all.month.values[rows[0]] : last
  const isMoney = about.revenue !== null
  const column = isMoney ? all.month_revenue : all.month_orders
  const values = new Array(last - first + 1).fill(0)
  for (const row of rows) values[all.month.values[row] - first] = column.values[row]
  const told = isMoney ? money : count
  const titles = values.map((value, place) => `${month(first + place)}: ${told(value)}`)
  const heading = isMoney ? inCurrency(say('Revenue by month')) : say('Orders by month')
  const label = say_many(rows.length, 'Purchases in {number} month, from {from} to {to}', 'Purchases in {number} months, from {from} to {to}', { from: month(first), to: month(last) })
  const body = rows.map(row => [month(all.month.values[row]), count(all.month_orders.values[row]), ...(isMoney ? [money(all.month_revenue.values[row])] : [])])
  return element('figure', {}, element('figcaption', {}, heading),
    element('div', { class: 'top' }, say('up to {amount}', { amount: told(Math.max(0, ...values)) })), bars(label, values, titles),
    element('div', { class: 'ends' }, element('span', {}, month(first)), element('span', {}, month(last))),
    element('details', {}, element('summary', {}, say('As a table')),
      tableOf([say('Month'), say('Orders'), ...(isMoney ? [say('Revenue')] : [])], body)))
}

/** The forecasts of all horizons, with the range of spend. */
function forecastsOf(i, all) {
  const isMoney = about.revenue !== null
  const rows = about.horizons.map((days, place) => {
    const value = name => all[`forecast_${name}`].values[place * about.details + i]
    const nothing = value('p_purchase') < 0.5 ? say('most likely nothing') : ''
    const ofMoney = isMoney ? [money(value('spend')), `${money(value('lower'))} – ${money(value('upper'))}`, money(value('clv'))] : []
    return [count(days), share(value('p_purchase')), number(value('purchases'), 2), ...ofMoney, nothing]
  })
  const ofMoney = [say('Spend'), say('Range'), say('CLV')]
  const heads = [say('Days'), say('P(buy)'), say('Purchases'), ...(isMoney ? ofMoney : []), say('Outcome')]
  const note = about.interval_level === null ? []
    : [element('p', { class: 'note' }, say('Ranges are made to hold the spend of {share} of customers who are as likely to buy.', { share: written(about.interval_level, { style: 'percent' }) }))]
  return element('section', {}, element('h3', {}, say('Forecast')), tableOf(heads, rows), ...note)
}

/** What moves the forecast of this customer, where it differs from the median one. */
function reasonsOf(i, all) {
  const labels = {
    days_since_last: say('days since the last purchase'), frequency: say('repeat purchases'), spend_per_purchase: say('spend per purchase'),
    recent_activity: about.revenue === null ? say('purchases in the last 365 days') : say('spend in the last 365 days'),
    basket_size: say('lines per order'), product_breadth: say('different products')
  }
  const reasons = [0, 1, 2].flatMap(n => {
    const name = column => all[column].names[all[column].codes[i]]
    const fact = name(`driver_${n}`)
    if (!fact) return []
    const digits = value => number(value, Number.isInteger(value) ? 0 : 2)
    const told = { fact: labels[fact] ?? fact, value: digits(all[`driver_value_${n}`].values[i]), median: digits(all[`driver_median_${n}`].values[i]) }
    return [name(`driver_effect_${n}`) === 'more' ? say('The forecast is higher: {fact} {value}, the median customer has {median}', told)
      : say('The forecast is lower: {fact} {value}, the median customer has {median}', told)]
  })
  return reasons.length ? element('section', {}, element('h3', {}, say('Why')), element('ul', {}, ...reasons.map(text => element('li', {}, text)))) : ''
}

function numbers(from, to) {
  return Array.from({ length: to - from }, (_, place) => from + place)
}

function tableOf(heads, rows) {
  const cells = row => row.map((text, place) => place
    ? element('td', { class: 'number', 'data-label': heads[place] }, own(text)) : element('th', { scope: 'row' }, own(text)))
  return element('table', {}, element('thead', {}, element('tr', {}, ...heads.map((head, place) => element('th', { scope: 'col', class: place && 'number' }, head)))),
    element('tbody', {}, ...rows.map(row => element('tr', {}, ...cells(row)))))
}
