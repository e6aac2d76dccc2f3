// Behind the card: the row, the deliveries, the calls, and the switches. Of the sandbox alone; a real
// frontend has none of it.

import { OUTCOMES } from './words.js'

const EVERY_MS = 1000
const SHOWN = { deliveries: 40, calls: 12 }
// The columns that tell the story; the others are below them.
const FIRST = [
  'status', 'plan', 'price_id', 'quantity', 'current_period_end', 'cancel_at', 'ended_at', 'paused_reason',
  'as_of', 'revision',
]
const DONE = ['applied', 'refreshed', 'canceled', 'scheduled', 'updated']
const TIMES = /_at$|_end$|^as_of$/

const byId = (id) => document.getElementById(id)
const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

function el(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes)
  element.append(...children.filter((child) => child != null))
  return element
}

async function ask(path, body) {
  const response = await fetch(`/_sandbox${path}`, body && { method: 'POST', body: JSON.stringify(body) })
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.error)
  return answer
}

/** me: whose row is shown. onRowChange: when it is another than at the last look. */
export function watch({ me, info, onRowChange, onReset }) {
  let row // of `me`, as text
  let whose
  let timer

  async function look() {
    clearTimeout(timer)
    if (!document.hidden) {
      const turned = turns
      const paths = ['/rows', '/deliveries', '/clerk/deliveries', '/faults', '/service']
      const answers = await Promise.all(paths.map((path) => ask(path))).catch(() => null)
      live(answers !== null)
      if (answers) show(...answers, turned)
    }
    clearTimeout(timer)
    timer = setTimeout(look, EVERY_MS)
  }

  function show(rows, stripes, clerks, faults, service, turned) {
    const deliveries = [...stripes, ...clerks].sort((one, other) => one.at - other.at)
    const mine = me.id === null ? [] : rows.filter((each) => [each.user_id, each.clerk_owner_id].includes(me.id))
    const now = JSON.stringify(mine)
    const changed = whose === me.id && now !== row
    whose = me.id
    row = now
    showRows(mine)
    showDeliveries(deliveries)
    if (turned === turns) showSwitches({ ...faults, service: service.running })
    if (changed) onRowChange()
  }

  document.addEventListener('visibilitychange', look)
  addEventListener('pageshow', (event) => event.persisted && look())
  byId('reset').onclick = async () => {
    if (!confirm('Forget all users, subscriptions and deliveries, and mend all faults?')) return
    await mend()
    await ask('/reset', {})
    keepCalls([])
    showCalls()
    onReset()
  }
  byId('mend').onclick = async () => {
    await mend()
    look()
  }
  for (const select of switches()) select.onchange = () => turn(select)
  restoreToken()
  showCalls()
  byId('places').replaceChildren(...Object.entries(info).map(([name, text]) => pair(name, text)))
  return { look }
}

function live(is) {
  byId('live').textContent = is ? 'live' : 'the sandbox does not answer'
  byId('live').classList.toggle('lost', !is)
}

// The row ------------------------------------------------------------------------------------------

let shownRows = ''

function showRows(rows) {
  const text = JSON.stringify(rows)
  if (text === shownRows) return
  const before = new Map(JSON.parse(shownRows || '[]').map((row) => [row.stripe_subscription_id, row]))
  const open = [...byId('rows').querySelectorAll('details[open]')].map((details) => details.dataset.id)
  shownRows = text
  const newest = rows.toReversed().map((row) => oneRow(row, before.get(row.stripe_subscription_id), open))
  byId('rows').replaceChildren(...(newest.length ? newest : [el('p', { className: 'none' }, 'No row yet.')]))
}

function oneRow(row, before, open) {
  const id = row.stripe_subscription_id
  const others = Object.keys(row).filter((name) => !FIRST.includes(name)).sort()
  const more = el('details', { open: open.includes(id) },
    el('summary', {}, `${others.length} more columns`),
    el('dl', {}, ...columns(row, others, before)))
  more.dataset.id = id
  return el('article', { className: 'row', ariaLabel: `Row of ${id}` },
    el('p', { className: 'key' }, id),
    el('dl', {}, ...columns(row, FIRST.filter((name) => name in row), before)),
    more)
}

function columns(row, names, before) {
  return names.map((name) => {
    const changed = before && JSON.stringify(before[name]) !== JSON.stringify(row[name])
    return pair(name, value(name, row[name]), changed ? 'changed' : '')
  })
}

function value(name, given) {
  if (given === null) return el('i', {}, 'null')
  return TIMES.test(name) ? String(given).slice(0, 19).replace('T', ' ') : String(given)
}

const pair = (name, text, className = '') => el('div', { className }, el('dt', {}, name), el('dd', {}, text))

// Deliveries ---------------------------------------------------------------------------------------

let shownDeliveries = ''
let heard = null // how many were known at the last look

function showDeliveries(deliveries) {
  const text = JSON.stringify(deliveries)
  if (text === shownDeliveries) return
  shownDeliveries = text
  const lines = deliveries.slice(-SHOWN.deliveries).reverse().map((delivery) => [
    clock.format(delivery.at * 1000),
    el('span', { title: delivery.event_id },
      ...breakable(delivery.type),
      delivery.attempt > 1 ? el('small', {}, `attempt ${delivery.attempt}`) : null),
    outcome(delivery),
  ])
  fill('deliveries', ['Time', 'Event', 'Outcome'], lines, 'None yet. Stripe sends one for each thing that happens, and Clerk some.')
  sayAloud(deliveries)
}

function outcome({ status_code: status, outcome, error }) {
  if (status >= 200 && status < 300) {
    const written = DONE.includes(outcome)
    return verdict(written ? 'good' : '', outcome ?? status, OUTCOMES[outcome] ?? '')
  }
  if (status) return verdict('bad', status, ...breakable(outcome ?? 'no reason given', '_'), ', sent again later')
  if (error) return verdict('bad', 'no answer', 'sent again later')
  return verdict('', 'on its way')
}

const verdict = (mood, word, ...more) =>
  el('span', {}, el('b', { className: `pill ${mood}` }, word), el('small', {}, ...more))

/** One line for screen readers, however many came at once. */
function sayAloud(deliveries) {
  const fresh = heard === null ? [] : deliveries.slice(heard)
  heard = deliveries.length
  if (!fresh.length) return
  const outcomes = new Set(fresh.map((delivery) => delivery.outcome ?? 'no answer yet'))
  byId('heard').textContent = `Webhook deliveries: ${fresh.length} more, ${[...outcomes].join(', ')}`
}

// Calls --------------------------------------------------------------------------------------------

// Kept over the way to Stripe's pages and back.
const calls = () => JSON.parse(sessionStorage.getItem('calls') ?? '[]')
const keepCalls = (list) => sessionStorage.setItem('calls', JSON.stringify(list.slice(-SHOWN.calls)))

export function noteCall(call) {
  keepCalls([...calls(), { ...call, at: Date.now() }])
  showCalls()
}

function showCalls() {
  const lines = calls().reverse().map(({ at, method, path, sent, status, code, ms, requestId }) => [
    clock.format(at),
    el('span', { title: requestId ? `request ${requestId}` : '' },
      `${method} `, ...breakable(path, '/'), el('small', {}, brief(sent))),
    verdict(status < 300 ? 'good' : 'bad', status ?? 'none', ...breakable(code ?? '', '_'), ` ${ms}\u00a0ms`),
  ])
  fill('calls', ['Time', 'Call', 'Answer'], lines, 'None yet.')
}

function fill(id, head, lines, none) {
  if (!lines.length) return byId(id).replaceChildren(el('p', { className: 'none' }, none))
  const box = el('div', { className: 'scroll', tabIndex: 0, role: 'region' },
    el('table', {},
      el('thead', {}, el('tr', {}, ...head.map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, ...lines.map((line) => el('tr', {}, ...line.map((cell) => el('td', {}, cell)))))))
  box.setAttribute('aria-labelledby', `${id}-title`)
  const old = byId(id).querySelector('.scroll')
  const [top, focused] = [old?.scrollTop ?? 0, old === document.activeElement]
  byId(id).replaceChildren(box)
  box.scrollTop = top
  if (focused) box.focus({ preventScroll: true })
}

/** What was sent; an id is longer than it is interesting. */
const brief = (sent) => Object.entries(sent ?? {})
  .map(([name, text]) => `${name}: ${text.length > 24 ? `${text.slice(0, 10)}…` : text}`)
  .join(', ')

/** A long name that may break after its dots. */
const breakable = (text, at = '.') =>
  text.split(at).flatMap((part, place) => [place ? at : '', place > 1 || text[0] !== at ? el('wbr') : '', part])

// Switches -----------------------------------------------------------------------------------------

const switches = () => byId('faults').querySelectorAll('select')
let turns = 0 // begun and ended: what was read before a turn is out of date

async function turn(select) {
  turns += 1
  mark()
  if (select.id === 'token') return sessionStorage.setItem('token', select.value)
  select.ariaBusy = 'true' // killing and starting the service takes a moment
  const value = JSON.parse(select.value)
  try {
    if (select.id === 'service') await ask('/service', { running: value })
    else await ask('/faults', { [select.dataset.fault]: value })
  } finally {
    turns += 1
    select.ariaBusy = null
  }
}

async function mend() {
  for (const select of switches()) {
    if (select.selectedIndex === 0) continue
    select.selectedIndex = 0
    await turn(select)
  }
}

/** Scripts and tests turn them too, so they are shown as they are. */
function showSwitches(now) {
  for (const select of switches()) {
    if (select.id === 'token' || select.ariaBusy) continue
    const value = JSON.stringify(select.id === 'service' ? now.service : now[select.dataset.fault])
    if (![...select.options].some((option) => option.value === value)) select.add(new Option(value, value))
    select.value = value
  }
  const seconds = now.webhook_delay_ms / 1000
  byId('late').hidden = !seconds
  byId('late').textContent = `each comes ${seconds} s late`
  mark()
}

function mark() {
  let on = 0
  for (const select of switches()) {
    select.classList.toggle('on', select.selectedIndex > 0)
    on += select.selectedIndex > 0
  }
  byId('faults-on').hidden = !on
  byId('faults-on').textContent = `${on} on`
}

function restoreToken() {
  byId('token').value = sessionStorage.getItem('token') ?? 'fresh'
  mark()
}
