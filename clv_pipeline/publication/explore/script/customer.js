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
  return named.flatMap(([name, title]) => {
    const value = columns[name].names[columns[name].codes[i]] ?? 'not known'
    return value === 'not known' ? [] : [title ? `${title}: ${term(value)}` : term(value)]
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
  const values = [value('historic_value'), columns.clv.values[i], value('total_value')]
  const [historic, ahead, total] = values.map(amount => money(amount, coins(values)))
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
      : `${historic} + ${ahead} = ${total}`, say('in margin')],
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
  const decimals = coins(values)
  const told = isMoney ? value => money(value, decimals) : count
  const titles = values.map((value, place) => `${month(first + place)}: ${told(value)}`)
  const heading = isMoney ? inCurrency(say('Revenue by month')) : say('Orders by month')
  const label = say_many(rows.length, 'Purchases in {number} month, from {from} to {to}', 'Purchases in {number} months, from {from} to {to}', { from: month(first), to: month(last) })
  const body = rows.map(row => [month(all.month.values[row]), count(all.month_orders.values[row]), ...(isMoney ? [told(all.month_revenue.values[row])] : [])])
  return element('figure', {}, element('figcaption', {}, heading),
    element('div', { class: 'top' }, say('up to {amount}', { amount: told(Math.max(0, ...values)) })), bars(label, values, titles),
    element('div', { class: 'ends' }, element('span', {}, month(first)), element('span', {}, month(last))),
    element('details', {}, element('summary', {}, say('As a table')),
      tableOf([say('Month'), say('Orders'), ...(isMoney ? [say('Revenue')] : [])], body)))
}

/** The forecasts of all horizons, with the range of spend, and how far past totals of the longest were off. */
function forecastsOf(i, all) {
  const isMoney = about.revenue !== null
  const values = name => about.horizons.map((_, place) => all[`forecast_${name}`].values[place * about.details + i])
  const [chances, purchases] = [values('p_purchase'), values('purchases')]
  const amounts = (...names) => {
    const columns = names.map(values), decimals = coins(columns.flat())
    return columns[0].map((_, place) => columns.map(column => money(column[place], decimals)).join(' – '))
  }
  const ofMoney = isMoney ? [amounts('spend'), amounts('lower', 'upper'), amounts('clv')] : []
  const rows = about.horizons.map((days, place) => [count(days), share(chances[place]), number(purchases[place], 2),
    ...ofMoney.map(column => column[place]), chances[place] < 0.5 ? say('most likely nothing') : ''])
  const heads = [say('Days'), say('P(buy)'), say('Purchases'), ...(isMoney ? [say('Spend'), say('Range'), say('CLV')] : []), say('Outcome')]
  const ranges = about.interval_level === null ? []
    : [say('Ranges are made to hold the spend of {share} of customers who are as likely to buy.', { share: percent(about.interval_level) })]
  const notes = [...ranges, about.tested].filter(Boolean).map(text => element('p', { class: 'note' }, text))
  return element('section', {}, element('h3', {}, say('Forecast')), tableOf(heads, rows), ...notes)
}

/** What moves the forecast of this customer, where it differs from the median one. */
function reasonsOf(i, all) {
  const isMoney = about.revenue !== null
  const labels = new Map([
    ['days_since_last', say('days since the last purchase')], ['frequency', say('repeat purchases')],
    ['spend_per_purchase', say('spend per purchase')],
    ['recent_activity', isMoney ? say('spend in the last 365 days') : say('purchases in the last 365 days')],
    ['basket_size', say('lines per order')], ['product_breadth', say('different products')]
  ])
  const ofMoney = isMoney ? ['spend_per_purchase', 'recent_activity'] : []
  const reasons = [0, 1, 2].flatMap(n => {
    const name = column => all[column].names[all[column].codes[i]]
    const fact = name(`driver_${n}`)
    if (!fact) return []
    const both = [all[`driver_value_${n}`].values[i], all[`driver_median_${n}`].values[i]]
    const [value, median] = both.map(ofMoney.includes(fact) ? amount => money(amount, coins(both))
      : amount => number(amount, both.every(Number.isInteger) ? 0 : 2))
    const told = { fact: labels.get(fact) ?? fact, value, median }
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
