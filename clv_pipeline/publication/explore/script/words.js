// Says texts in the language of the page, and writes numbers, money and days as the report does (words.py).

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
  return Object.hasOwn(about.terms, name) ? about.terms[name] : name
}

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place)
}

/** A number with so many decimals, in a form of `about.written`: number, percent or money. */
function written(value, decimals, form) {
  if (value === null || Number.isNaN(value)) return NOTHING
  const { decimal, group } = about.written
  const [whole, part] = digitsOf(Math.abs(value), decimals).split('.')
  const isNegative = value < 0 && /[1-9]/.test(whole + (part ?? ''))
  return about.written[form][isNegative ? 1 : 0].replace('{}', () => grouped(whole, group) + (part ? decimal + part : ''))
}

/** The digits of a number that is not negative. Of two that are as near, the even one, as in the report. */
function digitsOf(value, decimals) {
  if (value >= 1e21) return BigInt(value).toString()
  const [whole, part] = value.toFixed(100).split('.')
  const lower = decimals ? `${whole}.${part.slice(0, decimals)}` : whole
  const isLower = /^50*$/.test(part.slice(decimals)) && /[02468]$/.test(lower)
  return isLower ? lower : value.toFixed(decimals)
}

function grouped(digits, group) {
  const [last, before = last] = about.written.sizes
  const groups = [digits.slice(-last)]
  for (let end = digits.length - last; end > 0; end -= before) groups.unshift(digits.slice(Math.max(0, end - before), end))
  return groups.join(group)
}

function count(value) {
  return number(value, 0)
}

function number(value, decimals) {
  return written(value, decimals, 'number')
}

/** A number with the decimals that it has. */
function exact(value) {
  return number(value, (String(value).split('.')[1] ?? '').length)
}

/** 0.123 as 12%. */
function percent(value) {
  return written(100 * value, 0, 'percent')
}

/** 12.3%, and a small share as <0.1%, which 0.0% would deny. */
function share(value) {
  const of = part => written(100 * part, 1, 'percent')
  return value > 0 && value < 0.0005 ? `<${of(0.001)}` : of(value)
}

/** An amount with its currency; of several that stand together, with the decimals of all of them. */
function money(value, decimals = coins([value])) {
  return written(value, decimals, 'money')
}

/** How many decimals a column of money has: none from 1,000 on, else those of the currency. */
function coins(values) {
  for (const value of values) if (Math.abs(value) >= 1000) return 0
  return about.coins
}

/** A heading of money, with its currency where that is known. */
function inCurrency(heading) {
  return about.symbol ? `${heading} (${about.symbol})` : heading
}

const DAY = 86_400_000

/** The day that lies so many days after the last day of history. */
function dayAt(days) {
  return new Date(Date.parse(about.as_of) + days * DAY)
}

function day(date) {
  if (Number.isNaN(date.getTime())) return NOTHING
  const { days, padded } = about.written
  return filled(days[date.getUTCMonth()], { year: date.getUTCFullYear(), day: String(date.getUTCDate()).padStart(padded ? 2 : 1, '0') })
}

/** The name of a month that is counted from January 1970 on. */
function month(number) {
  const first = new Date(Date.UTC(1970, number))
  return filled(about.written.months[first.getUTCMonth()], { year: first.getUTCFullYear() })
}
