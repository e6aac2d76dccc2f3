// The account card: asks the service, shows the answer, and leads to checkout and portal.

import { offer } from './account.js'
import { watch, noteCall } from './behind.js'
import { connect } from './billing.js'
import { BillingError } from './portal-service.js'
import { choices, describeStanding, explain, planName, view as viewOf } from './words.js'

const byId = (id) => document.getElementById(id)
const account = byId('account')
// id: of whose row is shown: the app's user or, where organizations pay, the active organization.
const me = { name: localStorage.getItem('user') ?? 'ada', id: null, roles: {}, organization: null }

let billing
let organizationsPay = false
let behind
let latest = 0 // of the questions for the status: only the newest one's answer is shown
let nextTry
let busy = null // the button that is leading away, if any

// Who is signed in, and for whom: it may change while an answer is on its way.
const acting = () => `${me.name} ${me.organization}`

// Who is signed in. Stands for Clerk's getToken(); the switch "The session token" spoils it.
async function getToken({ skipCache = false } = {}) {
  const spoilt = byId('token').value
  const expired = spoilt === 'always' || (spoilt === 'first' && !skipCache)
  const now = Math.floor(Date.now() / 1000)
  const claims = expired ? { iat: now - 120, nbf: now - 120, exp: now - 60 } : {}
  const { name, organization } = me
  const who = acting()
  const body = JSON.stringify({ user: name, claims, organization })
  const session = await fetch('/_sandbox/session', { method: 'POST', body })
    .then((response) => response.json())
    .catch(() => { throw new BillingError('sandbox_unreachable') })
  if (who === acting()) me.id = organizationsPay ? organization : session.user_id
  return session.token
}

// Reading the status. While the address names a checkout session, that is confirmed first, so that
// the page need not wait for Stripe's webhook.
async function load() {
  const mine = ++latest
  clearTimeout(nextTry)
  account.ariaBusy = 'true'
  try {
    const status = await (checkoutSession() ? confirmPayment(checkoutSession()) : billing.subscription())
    if (mine !== latest) return
    show(status)
    if (trouble.about === load) clearTrouble()
  } catch (error) {
    if (mine !== latest) return
    account.classList.toggle('unknown', byId('summary').hidden)
    complain(error, load)
    if (error.temporary || error.code === 'sandbox_unreachable') nextTry = setTimeout(load, (error.retryAfter ?? 3) * 1000)
  } finally {
    if (mine === latest) account.ariaBusy = 'false'
  }
}

const checkoutSession = () => new URLSearchParams(location.search).get('checkout_session_id')

async function confirmPayment(id) {
  tell('Confirming your payment …')
  try {
    const status = await billing.refresh(id)
    if (status.subscribed) tell(`Thank you. You are on ${planName(status.plan)}.`, { good: true })
    else tell('No payment has arrived. Nothing was charged.')
    forgetCheckoutSession()
    behind.look() // the row is there now
    return status
  } catch (error) {
    tell('')
    if (error.code === 'invalid_request') forgetCheckoutSession() // asking again would not help
    throw error
  }
}

function forgetCheckoutSession() {
  const here = new URL(location)
  here.searchParams.delete('checkout_session_id')
  history.replaceState(null, '', here)
}

// Leaving for a page of Stripe's. Once, however often the button is pressed.
async function leave(button, ask) {
  if (busy) return
  settle(button)
  tell('One moment: Stripe’s page is being opened.')
  clearTrouble()
  const who = acting()
  try {
    const { url } = await ask()
    if (who === acting()) return location.assign(url) // and busy until the page is left
    settle(null)
  } catch (error) {
    settle(null)
    tell('')
    complain(error, () => leave(button, ask))
    if (error.code === 'already_subscribed') load()
  }
}

function settle(button) {
  busy?.removeAttribute('aria-busy')
  busy = button
  busy?.setAttribute('aria-busy', 'true')
  for (const each of account.querySelectorAll('button')) each.ariaDisabled = busy ? 'true' : null
}

// Came back with the browser's back button: the page is as it was left, and its buttons are not.
addEventListener('pageshow', (event) => {
  if (!event.persisted) return
  settle(null)
  tell('')
  load()
})

function show(status) {
  const view = viewOf(status)
  account.classList.remove('unknown')
  byId('summary').hidden = false
  put('plan', view.plan)
  put('pill', view.label)
  byId('pill').className = `pill ${view.mood}`
  byId('pill').hidden = !view.label
  put('sentence', view.sentence)
  byId('standing').hidden = !organizationsPay || status.can_checkout || status.can_manage_billing
  put('standing', describeStanding(me.organization, me.roles[me.organization]))
  byId('billing').hidden = !view.button
  if (!busy) put('manage', view.button ?? '')
  byId('offer').hidden = !view.canUpgrade
  byId('flows').hidden = !view.flows.length
  for (const button of byId('flows').children) button.hidden = !view.flows.includes(button.dataset.flow)
}

function forget() {
  for (const id of ['summary', 'billing', 'offer', 'flows']) byId(id).hidden = true
  account.classList.remove('unknown')
  tell('')
  clearTrouble()
}

/** Live regions speak when their text changes, so it changes only when it has to. */
function put(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text
}

function tell(text, { good = false } = {}) {
  byId('news').classList.toggle('good', good)
  put('news', text)
}

// One trouble at a time: a sentence, what cures it, and what to tell those who can look it up.
const trouble = { about: null }

function complain(error, repeat) {
  const { text, cure } = explain(error)
  if (!(error instanceof BillingError)) console.error(error)
  const already = trouble.about === repeat && trouble.code === error.code
  Object.assign(trouble, { about: repeat, code: error.code })
  if (already) return
  const sentence = document.createElement('p')
  sentence.textContent = text
  const small = document.createElement('small')
  small.textContent = [error.code, error.requestId && `request ${error.requestId}`].filter(Boolean).join(' · ')
  byId('trouble').replaceChildren(sentence, ...cureButton(cure, repeat), small)
}

function cureButton(cure, repeat) {
  const cures = {
    try_again: ['Try again', repeat],
    reload: ['Reload', () => location.reload()],
    sign_in: ['Sign in again', () => { byId('token').value = 'fresh'; byId('token').onchange(); repeat() }],
    manage: ['Manage billing', () => leave(byId('manage'), () => billing.portal())],
  }
  if (!cures[cure]) return []
  const button = document.createElement('button')
  button.textContent = cures[cure][0]
  button.onclick = () => {
    clearTrouble()
    account.focus() // the button is gone
    cures[cure][1]()
  }
  return [button]
}

function clearTrouble() {
  trouble.about = null
  byId('trouble').replaceChildren()
}

byId('offer').onsubmit = (event) => {
  event.preventDefault()
  const plan = new FormData(event.target).get('plan')
  leave(byId('upgrade'), () => billing.checkout({ plan }))
}
byId('manage').onclick = (event) => leave(event.target, () => billing.portal())
for (const button of byId('flows').children) {
  button.onclick = () => leave(button, () => billing.portal(button.dataset.flow ? { flow: button.dataset.flow } : {}))
}
for (const radio of byId('users').querySelectorAll('input')) {
  radio.checked = radio.value === me.name
  radio.onchange = () => {
    localStorage.setItem('user', radio.value)
    me.name = radio.value
    signIn()
  }
}

// The switch of the active organization: Clerk's setActive(). Each user's is remembered.
byId('organization').onchange = (event) => {
  localStorage.setItem(`organization of ${me.name}`, event.target.value)
  signIn()
}

async function showOrganizations() {
  const all = await fetch('/_sandbox/organizations').then((response) => response.json())
  const mine = Object.entries(all).filter(([, roles]) => `user_${me.name}` in roles)
  me.roles = Object.fromEntries(mine.map(([id, roles]) => [id, roles[`user_${me.name}`]]))
  const kept = localStorage.getItem(`organization of ${me.name}`) ?? Object.keys(me.roles)[0]
  me.organization = kept in me.roles ? kept : null
  byId('organization').replaceChildren(...choices(me.roles).map(([id, text]) => new Option(text, id)))
  byId('organization').value = me.organization ?? ''
}

async function start() {
  const info = await fetch('/_sandbox/info').then((response) => response.json())
  organizationsPay = info.billing_owner === 'organization'
  byId('acting').hidden = !organizationsPay
  billing = connect(`${info.service_url}/api/stripe`, getToken, noteCall)
  behind = watch({ me, info, onRowChange: load, onReset: signIn })
  offer({ me, onDone: signIn })
  await signIn()
}

// The row is looked at first, then the status is read: whatever changes later than that is noticed.
async function signIn() {
  latest += 1
  me.id = null
  forget()
  if (organizationsPay) await showOrganizations()
  await getToken().catch(() => {}) // says who it is; load() says what is wrong
  await behind.look()
  await load()
}

start().catch(() => complain(new BillingError('sandbox_unreachable'), () => location.reload()))
