// The server's side against the real service: once per request, after checkout, who is let in.

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { createServerBilling } from 'portal-service/server'
import { client, fail, heal, pay, someone, subscribe, tokens, url } from './sandbox.mjs'

afterEach(heal)

class Redirect extends Error {
  constructor(to) {
    super(`redirected to ${to}`)
    this.to = to
  }
}
const redirect = (to) => {
  throw new Redirect(to)
}
const redirected = (to) => (error) => error instanceof Redirect && error.to === to

/** As React's cache within one request. */
function cache(ask) {
  let answer
  return () => (answer ??= ask())
}

function server(user, options = {}) {
  let sent = 0
  const counting = (...request) => {
    sent += 1
    return fetch(...request)
  }
  const billing = createServerBilling({ url, getToken: tokens(user), redirect, fetch: counting, ...options })
  return { billing, sent: () => sent }
}

test('the subscription is asked for once per request', async () => {
  const { billing, sent } = server(someone(), { cache })
  const [one, other] = await Promise.all([billing.getSubscription(), billing.getSubscription()])
  assert.equal(one, other)
  await assert.rejects(billing.requirePlan('pro', '/pricing'), redirected('/pricing'))
  assert.equal(sent(), 1)
})

test('after checkout the page is confirmed, and its address clean', async () => {
  const user = someone()
  await fail({ webhook_delay_ms: 60_000 }) // none comes in time
  const session = await pay((await client(user).checkout()).url)
  const { billing } = server(user)
  const from = { checkout_session_id: session, tab: ['a', 'b'], empty: undefined }
  await assert.rejects(billing.confirmCheckout(from, '/account'), redirected('/account?tab=a&tab=b'))
  assert.equal((await billing.getSubscription()).plan, 'pro')
  const search = new URLSearchParams({ checkout_session_id: session })
  await assert.rejects(billing.confirmCheckout(search, '/account'), redirected('/account'))
})

test('an address without a checkout asks nobody', async () => {
  const { billing, sent } = server(someone())
  assert.deepEqual(await billing.confirmCheckout({}, '/account'), { state: 'nothing' })
  assert.equal(sent(), 0)
})

test('what can’t be told yet is being confirmed', async () => {
  const { billing } = server(someone())
  await fail({ database: 'down' })
  const { state, error } = await billing.confirmCheckout({ checkout_session_id: 'cs_test_1' }, '/account')
  assert.deepEqual([state, error.code], ['confirming', 'database_unavailable'])
})

test('a session that can’t be one is forgotten', async () => {
  const { billing } = server(someone())
  const from = { checkout_session_id: '{CHECKOUT_SESSION_ID}' }
  await assert.rejects(billing.confirmCheckout(from, '/account'), redirected('/account'))
})

test('only who has the plan is let in', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const { billing } = server(user)
  assert.equal((await billing.requirePlan(['pro', 'team'], '/pricing')).plan, 'pro')
  await assert.rejects(billing.requirePlan('team', '/pricing'), redirected('/pricing'))
})

test('who owes is not let in, nor is who is not signed in', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro', status: 'past_due' })
  await assert.rejects(server(user).billing.requirePlan('pro', '/pricing'), redirected('/pricing'))
  const nobody = server('', { getToken: async () => null })
  await assert.rejects(nobody.billing.requirePlan('pro', '/pricing'), redirected('/pricing'))
})

test('while it can’t be told nobody is let in', async () => {
  const { billing } = server(someone(), { timeoutMs: 4_000 })
  await fail({ database: 'down' })
  await assert.rejects(billing.requirePlan('free', '/pricing'), { code: 'database_unavailable' })
})
