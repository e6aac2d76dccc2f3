// The sandbox as the tests drive it: users, what goes wrong, what happens at Stripe.

import { createBilling } from 'portal-service'

const CONTROL = `${process.env.SANDBOX_URL}/_sandbox`

async function control(path, body) {
  const response = await fetch(CONTROL + path, {
    method: body ? 'POST' : 'GET',
    body: body && JSON.stringify(body),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`)
  return answer
}

export const info = await control('/info')
export const url = `${info.service_url}/api/stripe`
export const fail = (faults) => control('/faults', faults)
export const heal = () => fail({ stripe: 'up', database: 'up', clerk: 'up', webhook_delay_ms: 0 })
export const run = (running) => control('/service', { running })

let users = 0
/** A name that no other test has. */
export const someone = () => `u${process.pid}-${++users}`

/** Clerk's getToken of a user; `asked` has the options of each call. */
export function tokens(user, claims = () => ({})) {
  const asked = []
  const getToken = async (how) => {
    asked.push(how)
    return (await control('/session', { user, claims: claims(how) })).token
  }
  return Object.assign(getToken, { asked })
}

const now = () => Math.floor(Date.now() / 1000)
export const expired = () => ({ iat: now() - 120, nbf: now() - 120, exp: now() - 60 })

/** A client of that user; `sent` has each request that went out. */
export function client(user, options = {}) {
  const sent = []
  const counting = (to, init) => {
    sent.push(`${init?.method ?? 'GET'} ${new URL(to).pathname.replace('/api/stripe', '')}`)
    return fetch(to, init)
  }
  const billing = createBilling({ url, getToken: tokens(user), fetch: counting, ...options })
  return Object.assign(billing, { sent })
}

/** What a person does on Stripe's checkout page. */
export async function pay(checkoutUrl) {
  const session = checkoutUrl.split('/').at(-1)
  await control(`/stripe/checkout/${session}`, { action: 'pay' })
  return session
}

/** A subscription made at Stripe, once its webhook has come: its id. */
export async function subscribe(user, more = {}) {
  const { id, status } = await control('/stripe/subscriptions', { user, ...more })
  await until(async () => (await client(user).subscription()).status === status)
  return id
}

/** Something happens to it at Stripe, and the webhook has come when the status says so. */
export async function happen(user, subscription, action, more, shows) {
  await control(`/stripe/subscriptions/${subscription}`, { action, ...more })
  return until(async () => {
    const status = await client(user).subscription()
    return shows(status) && status
  })
}

/** Waits until it is so. */
export async function until(look, ms = 15_000) {
  const end = Date.now() + ms
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited in vain for ${look}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
