// Says texts in the language of the page, and writes numbers, money and days as its locale does.

/** What stands beside the columns of customers; read first. */
let about
const NOTHING = '–'

/** A text in the language, with `values` in the places that it names in braces. */
function say(text, values = {}) {
  return filled(about.words[text] ?? text, values)
}

/** `one` or `many`, whichever goes with the number; {number} is the number as written. */
function say_many(number, one, many, values = {}) {
  const forms = about.words[one]
  const text = forms ? forms[new Intl.PluralRules(about.language).select(number)] : number === 1 ? one : many
  return filled(text, { number: count(number), ...values })
}

/** What a name that the tables hold is in the language; one that is not known stays. */
function term(name) {
  return about.terms[name] ?? name
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place)
}

const writers = new Map()

/** What Intl makes of options for the locale; made once, because that takes long. */
function writer(kind, options) {
  const key = kind.name + JSON.stringify(options)
  if (!writers.has(key)) writers.set(key, new kind(about.locale, options))
  return writers.get(key)
}

/** A number by Intl.NumberFormat, with the minus sign, which is as wide as a digit. */
function written(value, options) {
  if (value === null || Number.isNaN(value)) return NOTHING
  return writer(Intl.NumberFormat, { signDisplay: 'negative', ...options }).format(value).replace('-', '−')
}

function count(value) {
  return number(value, 0)
}

function number(value, decimals) {
  return written(value, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
}

/** 12.3%, and a small share as <0.1%, which 0.0% would deny. */
function share(value) {
  const of = part => written(part, { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 })
  return value > 0 && value < 0.0005 ? `<${of(0.001)}` : of(value)
}

/** An amount without its currency, for a column whose heading has it. */
function amount(value, decimals) {
  return number(value, decimals)
}

/** An amount with its currency, for a sentence. */
function money(value) {
  const digits = { minimumFractionDigits: coins([value]), maximumFractionDigits: coins([value]) }
  return written(value, about.currency ? { style: 'currency', currency: about.currency, ...digits } : digits)
}

/** How many decimals a column of money has: none from 1,000 on, else those of the currency. */
function coins(values) {
  for (const value of values) if (Math.abs(value) >= 1000) return 0
  return about.coins
}

/** A heading of money, with its currency where that is known. */
function inCurrency(heading) {
  if (!about.currency) return heading
  const parts = writer(Intl.NumberFormat, { style: 'currency', currency: about.currency }).formatToParts(0)
  return `${heading} (${parts.find(part => part.type === 'currency').value})`
}

const DAY = 86_400_000

/** The day that lies so many days after the last day of history. */
function dayAt(days) {
  return new Date(Date.parse(about.as_of) + days * DAY)
}

function day(date) {
  return Number.isNaN(date.getTime()) ? NOTHING : dates({ dateStyle: 'medium' }).format(date)
}

/** The name of a month that is counted from January 1970 on. */
function month(number) {
  return dates({ year: 'numeric', month: 'short' }).format(new Date(Date.UTC(1970, number)))
}

function dates(options) {
  return writer(Intl.DateTimeFormat, { ...options, timeZone: 'UTC' })
}
