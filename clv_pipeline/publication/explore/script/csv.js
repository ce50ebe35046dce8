// The list as CSV, with the names and the guards of `clv export`.

/** The text of a file with these customers. */
function csvOf(customers, columns) {
  const chosen = filters.find(({ key }) => key === 'at_risk')?.chosen
  const isAtRisk = chosen?.has('yes') && chosen.size === 1
  const names = isAtRisk ? about.csv.at_risk : about.csv.columns
  const written = [...names, ...(about.currency ? ['currency'] : [])].map(name => [name, cells(name, columns)])
  // In the order of the list; one that nobody has sorted has the order of the export, which is another one of customers at risk.
  const order = isAtRisk && list.sort === 'value' ? sorted(customers, columns.stake_rank.values, !list.descending) : customers
  const lines = [written.map(([name]) => name), ...[...order].map(i => written.map(([, cell]) => cell(i)))]
  return lines.map(line => `${line.join(',')}\r\n`).join('')
}

/** How a column of an exported list writes a customer. */
function cells(name, columns) {
  const dayOf = days => Number.isNaN(days) ? '' : dayAt(days).toISOString().slice(0, 10)
  const fixed = { as_of: about.as_of, horizon_days: about.horizon_days, currency: about.currency }
  if (name in fixed) return () => fixed[name]
  if (name === 'customer_id') return i => safe(columns.id.texts[i])
  if (name === 'last_purchase_date') return i => dayOf(-columns.days_since_last.values[i])
  if (name === 'next_order_date') return i => dayOf(columns.next_order_days.values[i])
  if (name === 'overdue_since') return i => dayOf(-columns.overdue_days.values[i])
  const { names, codes, values } = columns[name]
  if (names) return i => safe(names[codes[i]] ?? '')
  return i => Number.isNaN(values[i]) ? '' : String(values[i])
}

/** A text that no spreadsheet takes for a formula, quoted where it has to be. */
function safe(text) {
  const guarded = about.csv.guards.reduce((told, [pattern, place]) => told.replace(new RegExp(pattern, 'gu'), place), text)
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded
}

/** Hand a file to whoever looks at the page. */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv' }))
  element('a', { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
