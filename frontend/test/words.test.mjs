// What people read: each row of docs/entitlement.md as the real service answers it, each code of
// the contract, amounts.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { BillingError, describe, english, explain, formatPrice } from 'portal-service'
import { german } from 'portal-service/words/de'
import { client, happen, someone, subscribe } from './sandbox.mjs'

const ROWS = [
  ['active', {}, null, { state: 'active', mood: 'good', plan: 'Pro', manage: 'Manage billing' }],
  ['active', {}, ['cancel_at_period_end', {}, (s) => s.cancel_at], { state: 'ending', mood: 'warn', plan: 'Pro' }],
  ['active', {}, ['pause', { behavior: 'void' }, (s) => s.pause_collection], { state: 'active', plan: 'Pro' }],
  ['trialing', {}, null, { state: 'trialing', mood: 'good', plan: 'Pro' }],
  ['past_due', {}, null, { state: 'payment_failed', mood: 'bad', plan: 'Pro', manage: 'Fix payment', canUpgrade: false }],
  ['unpaid', {}, null, { state: 'payment_failed', mood: 'bad', plan: 'Pro', canUpgrade: false }],
  ['incomplete', {}, null, { state: 'first_payment_failed', mood: 'bad', canUpgrade: true }],
  ['incomplete', {}, ['expire', {}, (s) => s.status === 'incomplete_expired'], { state: 'never_began', plan: 'Free', canUpgrade: true }],
  ['active', {}, ['cancel_now', {}, (s) => s.status === 'canceled'], { state: 'ended', plan: 'Free', canUpgrade: true, manage: 'Manage billing' }],
  ['active', {}, ['pause', { reason: 'pause_requested' }, (s) => s.status === 'paused'], { state: 'paused', mood: 'warn', canUpgrade: false }],
  ['active', {}, ['pause', { reason: 'trial_end_without_payment_method' }, (s) => s.status === 'paused'], { state: 'paused_until_payment', canUpgrade: true }],
  ['active', {}, ['pause', { reason: 'first_payment_failure' }, (s) => s.status === 'paused'], { state: 'paused_until_payment', canUpgrade: false }],
  ['active', {}, ['pause', { reason: 'final_payment_failure' }, (s) => s.status === 'paused'], { state: 'paused_until_payment', canUpgrade: false }],
  ['active', {}, ['pause', { reason: 'system' }, (s) => s.status === 'paused'], { state: 'paused', canUpgrade: false }],
  ['active', {}, ['change_plan', { price: 'price_other' }, (s) => s.plan === null], { state: 'unknown_plan', mood: 'bad', plan: 'Unknown plan' }],
]
for (const [status, more, change, shown] of ROWS) {
  test(`${status} ${JSON.stringify([more, change?.slice(0, 2)])} is ${shown.state}`, async () => {
    const user = someone()
    const id = await subscribe(user, { price: 'price_pro', status, ...more })
    const answer = change ? await happen(user, id, ...change) : await client(user).subscription()
    const view = describe(answer)
    for (const [name, value] of Object.entries(shown)) assert.equal(view[name], value, name)
    assert.doesNotMatch(view.sentence, /[{}]|undefined|Invalid/)
    assert.doesNotMatch(describe(answer, { words: german }).sentence, /[{}]|undefined|Invalid/)
  })
}

test('a newcomer is free, and offered a plan', async () => {
  const view = describe(await client(someone()).subscription())
  assert.deepEqual(
    [view.state, view.plan, view.canUpgrade, view.manage, view.flows],
    ['free', 'Free', true, null, []],
  )
})

const STATUS = {
  subscribed: true, plan: 'pro', status: 'active', price_id: 'price_1', quantity: 1, items: [],
  current_period_end: '2026-12-31T23:30:00Z', cancel_at: null, cancel_at_period_end: false,
  ended_at: null, trial_end: null, trial_available: false, paused_reason: null,
  pause_collection: null, can_manage_billing: true, can_checkout: false, needs_payment: false,
  livemode: false,
}

test('dates are the same on a server and in a browser, and in the reader’s language', () => {
  assert.equal(describe(STATUS).sentence, 'Renews on December 31, 2026.')
  assert.equal(describe(STATUS, { words: german }).sentence, 'Verlängert sich am 31. Dezember 2026.')
  assert.equal(describe(STATUS, { timeZone: 'Asia/Tokyo' }).sentence, 'Renews on January 1, 2027.')
  assert.equal(describe({ ...STATUS, current_period_end: null }).sentence, 'Renews by itself.')
})

test('a plan is called as Stripe’s product is, where that is known', () => {
  assert.equal(describe(STATUS, { planNames: { pro: 'Professional' } }).plan, 'Professional')
})

test('a status that Stripe adds is neither free nor active', () => {
  const view = describe({ ...STATUS, status: 'of_tomorrow', subscribed: false })
  assert.deepEqual([view.state, view.canUpgrade], ['unknown', false])
})

test('a plan given by hand renews nothing', () => {
  assert.equal(describe({ ...STATUS, status: null, current_period_end: null }).state, 'given')
})

const CODES = JSON.parse(readFileSync('../portal_service/openapi.json', 'utf8')).components.schemas
  .ErrorBody.properties.code.enum
for (const words of [english, german]) {
  test(`every code of the contract has its sentence: ${words.locale}`, () => {
    const forFrontends = CODES.filter((code) => !['invalid_signature', 'invalid_payload'].includes(code))
    for (const code of [...forFrontends, 'unreachable', 'timeout', 'bad_answer']) {
      assert.equal(explain(code, words).text, words.errors[code])
      assert.ok(words.errors[code].length > 20, code)
    }
  })
}

test('both languages fill in the same', () => {
  const holes = (text) => (text.match(/\{\w+\}/g) ?? []).sort()
  const walk = (one, other, path) => {
    assert.equal(typeof one, typeof other, path)
    if (typeof one === 'string') return assert.deepEqual(holes(one), holes(other), path)
    assert.deepEqual(Object.keys(one).sort(), Object.keys(other).sort(), path)
    for (const name of Object.keys(one)) walk(one[name], other[name], `${path}.${name}`)
  }
  walk(english, german, 'words')
})

test('a code of a newer service is told by the service’s own sentence', () => {
  const error = new BillingError('of_tomorrow', { message: 'Not on Sundays', status: 409 })
  assert.deepEqual(explain(error), { text: 'Not on Sundays', cure: null })
  assert.equal(explain('of_tomorrow').text, english.errors.internal_error)
  assert.equal(explain(new TypeError('x')).text, english.errors.internal_error)
})

test('what helps is named', () => {
  const cures = ['unauthorized', 'already_subscribed', 'no_subscription', 'timeout', 'stripe_refused']
  assert.deepEqual(
    cures.map((code) => explain(code).cure),
    ['sign_in', 'manage', 'choose_plan', 'try_again', null],
  )
})

const PRICE = {
  price_id: 'price_1', lookup_key: null, amount: 1900, amount_decimal: '1900', currency: 'usd',
  currency_options: { usd: { amount: 1900, amount_decimal: '1900' }, eur: { amount: 1850, amount_decimal: '1850' } },
  interval: 'month', interval_count: 1, usage_type: 'licensed', tiers_mode: null,
}
for (const [change, options, amount, per] of [
  [{}, {}, '$19', 'per month'],
  [{ amount: 1999 }, {}, '$19.99', 'per month'],
  [{ amount: 1950 }, {}, '$19.50', 'per month'],
  [{ amount: 0 }, {}, '$0', 'per month'],
  [{}, { currency: 'eur' }, '€18.50', 'per month'],
  [{}, { currency: 'eur', words: german }, '18,50\u00a0€', 'pro Monat'],
  [{}, { currency: 'chf' }, '$19', 'per month'],
  [{ amount: null, amount_decimal: '0.05', currency_options: {} }, {}, '$0.0005', 'per month'],
  [{ amount: null, amount_decimal: null, currency_options: {} }, {}, null, 'per month'],
  [{ amount: 2800, currency: 'jpy', currency_options: {} }, {}, '¥2,800', 'per month'],
  [{ amount: 1500, currency: 'kwd', currency_options: {} }, {}, 'KWD\u00a01.500', 'per month'],
  [{ amount: 500, currency: 'isk', currency_options: {} }, {}, 'ISK\u00a05', 'per month'],
  [{ interval: 'month', interval_count: 3 }, {}, '$19', 'every 3 months'],
  [{ interval: 'year' }, { words: german }, '19\u00a0$', 'pro Jahr'],
]) {
  test(`an amount: ${JSON.stringify([change, options.currency, options.words?.locale])}`, () => {
    const price = { ...PRICE, ...change }
    if (change.amount !== undefined && !('currency_options' in change)) price.currency_options = {}
    assert.deepEqual(formatPrice(price, options), { amount, per })
  })
}
