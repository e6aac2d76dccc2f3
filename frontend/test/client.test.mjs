// The client against the real service: the whole story, and each way in which a call fails.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { afterEach, test } from 'node:test'
import { BillingError, createBilling } from 'portal-service'
import { client, expired, fail, heal, pay, run, someone, subscribe, tokens, until, url } from './sandbox.mjs'

afterEach(heal)

const failure = (code, more = {}) => (error) => {
  assert.ok(error instanceof BillingError, String(error))
  assert.equal(error.code, code)
  for (const [name, value] of Object.entries(more)) assert.deepEqual(error[name], value, name)
  return true
}

test('a plan is bought at the price that is shown, and managed', async () => {
  const billing = client(someone())
  const { plans, livemode } = await billing.plans()
  assert.deepEqual(plans.map(({ plan, name }) => [plan, name]), [['pro', 'Pro'], ['team', 'Team']])
  assert.equal(livemode, false)
  const before = await billing.subscription()
  assert.deepEqual([before.plan, before.can_checkout, before.can_manage_billing], ['free', true, false])

  const [price] = plans[1].prices
  const session = await pay((await billing.checkout({ price: price.price_id })).url)
  const after = await billing.refresh(session)
  assert.deepEqual([after.plan, after.subscribed, after.price_id], ['team', true, price.price_id])
  assert.match((await billing.portal({ return_path: '/settings' })).url, /^http/)
  await assert.rejects(billing.checkout(), failure('already_subscribed', { status: 409, temporary: false }))
})

test('an error has the code, the sentence and the request id of the service', async () => {
  const error = await client(someone()).checkout({ plan: 'gold' }).catch((error) => error)
  failure('invalid_request', { status: 400, name: 'BillingError' })(error)
  assert.match(error.message, /^plan is one of pro, team/)
  assert.match(error.requestId, /^[\w.-]{8,64}$/)
})

test('nobody signed in is told without a request', async () => {
  const billing = client('', { getToken: async () => null })
  for (const call of [billing.subscription, billing.checkout, billing.portal, billing.refresh]) {
    await assert.rejects(call(), failure('unauthorized', { status: undefined }))
  }
  assert.deepEqual(billing.sent, [])
  assert.equal((await billing.plans()).plans.length, 2)
})

test('without getToken the cookie would count: nothing is sent as a token', async () => {
  const billing = client('', { getToken: undefined })
  await assert.rejects(billing.subscription(), failure('unauthorized', { status: 401 }))
  assert.deepEqual(billing.sent, ['GET /subscription'])
})

test('an expired token is replaced once by a fresh one', async () => {
  const getToken = tokens(someone(), (how) => (how?.skipCache ? {} : expired()))
  const billing = client('', { getToken })
  assert.equal((await billing.subscription()).plan, 'free')
  assert.deepEqual(getToken.asked, [undefined, { skipCache: true }])
  assert.equal(billing.sent.length, 2)
})

test('a token that stays bad is given up after the second', async () => {
  const billing = client('', { getToken: tokens(someone(), expired) })
  await assert.rejects(billing.portal(), failure('unauthorized', { status: 401 }))
  assert.equal(billing.sent.length, 2)
})

test('a reading call tries again when the service says', async () => {
  const user = someone()
  await client(user).subscription()
  await fail({ database: 'down' })
  const billing = client(user)
  const answer = billing.subscription()
  await until(() => billing.sent.length === 1)
  setTimeout(heal, 1_000)
  assert.equal((await answer).plan, 'free')
  assert.equal(billing.sent.length, 2)
})

test('a 503 says when to try again, and a call that spends does not try by itself', async () => {
  const billing = client(someone())
  await fail({ database: 'down' })
  const details = { status: 503, temporary: true, retryAfter: 5 }
  await assert.rejects(billing.checkout(), failure('database_unavailable', details))
  assert.deepEqual(billing.sent, ['POST /checkout'])
})

test('a reading call with too little time left does not try again', async () => {
  const billing = client(someone(), { timeoutMs: 4_000 })
  await fail({ database: 'down' })
  await assert.rejects(billing.subscription(), failure('database_unavailable'))
  assert.equal(billing.sent.length, 1)
})

test('a service that is down is unreachable', async () => {
  await run(false)
  try {
    await assert.rejects(client(someone()).portal(), failure('unreachable', { status: undefined, temporary: true }))
  } finally {
    await run(true)
  }
})

test('a service that takes too long is a timeout', async () => {
  const user = someone()
  await subscribe(user)
  await fail({ stripe: 'hang' })
  await assert.rejects(client(user, { timeoutMs: 300 }).portal(), failure('timeout', { temporary: true }))
})

for (const [name, getToken] of [
  ['hangs', () => new Promise(() => {})],
  ['throws', async () => { throw new TypeError('Failed to fetch') }],
]) {
  test(`a getToken that ${name} is a timeout`, async () => {
    const billing = client('', { getToken, timeoutMs: 200 })
    await assert.rejects(billing.subscription(), failure('timeout'))
    assert.deepEqual(billing.sent, [])
  })
}

test('a caller may give up, and hears its own reason', async () => {
  const controller = new AbortController()
  const billing = client('', { getToken: () => new Promise(() => {}) })
  const answer = billing.subscription({ signal: controller.signal })
  controller.abort(new Error('page left'))
  await assert.rejects(answer, /page left/)
  await assert.rejects(billing.plans({ signal: controller.signal }), /page left/)
  assert.deepEqual(billing.sent, [])
})

/** What stands between: a proxy's own page, the app's own page, somebody else's JSON. */
const OTHERS = [
  [502, 'text/html', '<html>Bad Gateway</html>', true],
  [500, 'text/plain', 'Internal Server Error', true],
  [200, 'text/html', '<html>Sign in</html>', false],
  [200, 'application/json', '{"hello": "world"}', false],
  [200, 'application/json', 'null', false],
  [404, 'application/json', '{"message": "no such route"}', false],
]
for (const [status, type, body, temporary] of OTHERS) {
  test(`an answer that is not the service's is bad_answer: ${status} ${body}`, async () => {
    const proxy = createServer((_, response) => {
      response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body)
    })
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = proxy.address()
      const billing = createBilling({ url: `http://127.0.0.1:${port}/api/stripe/` })
      await assert.rejects(billing.plans(), failure('bad_answer', { status, temporary }))
    } finally {
      proxy.close()
      proxy.closeAllConnections()
    }
  })
}

test('the address may end with a slash', async () => {
  assert.equal((await createBilling({ url: `${url}/` }).plans()).plans.length, 2)
})
