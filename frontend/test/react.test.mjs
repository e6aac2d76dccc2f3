// Hooks and components in a document, against the real service.

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { renderToString } from 'react-dom/server'
import {
  BillingProvider,
  ManageBillingButton,
  PaymentProblem,
  PricingTable,
  SubscriptionCard,
  UpgradeButton,
} from 'portal-service/react'
import { german } from 'portal-service/words/de'
import { act, button, comesBack, h, hydrate, leavePage, press, rerender, sees, show, text, window } from './browser.mjs'
import { client, fail, happen, heal, pay, run, someone, subscribe, tokens, url } from './sandbox.mjs'

afterEach(async () => {
  await leavePage()
  await heal()
})

/** A page for a user; `sent` has the calls, `went` where it led. */
function page(user, ...children) {
  const sent = []
  const went = []
  const counting = (to, init) => {
    sent.push(`${init.method} ${new URL(to).pathname.replace('/api/stripe', '')}`)
    return fetch(to, init)
  }
  const props = {
    url,
    userId: user,
    getToken: user ? tokens(user) : async () => null,
    fetch: counting,
    navigate: (to) => went.push(to),
    signInUrl: '/sign-in',
  }
  const make = (more = {}) => h(BillingProvider, { ...props, ...more }, ...children)
  return { make, sent, went, posts: () => sent.filter((call) => call.startsWith('POST')) }
}

const card = () => h(SubscriptionCard, { plansUrl: '/pricing' })

test('a newcomer sees the plans, buys one, and comes back as a subscriber', async () => {
  const user = someone()
  const { make, went } = page(user, h(PricingTable), card())
  await show(make())
  await sees('Choose Team')
  assert.match(text(), /Pro.*\$19 per month.*Unlimited projects/)
  await press('Choose Team')
  await sees(() => went.length === 1)

  await fail({ webhook_delay_ms: 60_000 })
  const session = await pay(went[0])
  await show(make(), `/account?tab=plan&checkout_session_id=${session}`)
  await sees('Renews on')
  assert.equal(window.location.search, '?tab=plan')
  await sees(() => document.querySelector('[data-plan=team] .ps-current')) // its plans may come later
  assert.equal(document.querySelector('[data-plan=team] .ps-current').textContent, 'Your plan')
})

test('what is charged for is what the button said', async () => {
  const user = someone()
  const { make, went } = page(user, h(PricingTable))
  await show(make())
  await sees('Choose Pro')
  await act(() => document.querySelectorAll('input[type=radio]')[1].click())
  assert.match(text(), /\$190 per year/)
  await press('Choose Pro')
  await sees(() => went.length === 1)
  await client(user).refresh(await pay(went[0]))
  assert.equal((await client(user).subscription()).price_id, 'price_pro_year')
})

test('a subscriber changes the plan on Stripe’s page that says what it costs', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const { make, went } = page(user, h(PricingTable))
  await show(make())
  await sees('Switch to Team')
  assert.equal(button('Switch to Pro'), undefined)
  await press('Switch to Team')
  await sees(() => went.length === 1)
  const confirm = await (await fetch(went[0])).text()
  assert.match(confirm, /49\.00/)
})

test('three clicks in one tick are one call', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const { make, went, posts } = page(user, h(ManageBillingButton), h(ManageBillingButton))
  await show(make())
  await sees(() => button('Manage billing', 1))
  await act(() => {
    button('Manage billing').click()
    button('Manage billing').click()
    button('Manage billing', 1).click()
  })
  assert.match(text(), /Stripe’s page is being opened/)
  await sees(() => went.length === 1)
  assert.deepEqual(posts(), ['POST /portal'])
})

test('a page that the browser kept works again', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const { make, went, sent } = page(user, h(ManageBillingButton))
  await show(make())
  await sees(() => button('Manage billing'))
  await press('Manage billing')
  await sees(() => went.length === 1)
  assert.equal(button('Manage billing').getAttribute('aria-busy'), 'true')

  const before = sent.length
  await comesBack(false)
  assert.equal(button('Manage billing').getAttribute('aria-busy'), 'true')
  await comesBack(true)
  assert.equal(button('Manage billing').getAttribute('aria-busy'), null)
  await sees(() => sent.length > before) // what was changed there is asked for
  await press('Manage billing')
  await sees(() => went.length === 2)
})

test('who owes is never called free, and led to the portal', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro', status: 'past_due' })
  const { make } = page(user, h(PaymentProblem), card(), h(UpgradeButton))
  await show(make())
  await sees('The last payment failed')
  assert.doesNotMatch(text(), /Free|Upgrade/)
  assert.ok(button('Fix payment'))
})

test('before the answer nothing is said of the plan', async () => {
  const { make } = page(someone(), card(), h(UpgradeButton), h(ManageBillingButton), h(PaymentProblem))
  const html = renderToString(make())
  assert.match(html, /Looking up your plan/)
  assert.doesNotMatch(html, /Free|Upgrade|<button/)
  assert.deepEqual(await hydrate(html, make()), [])
  await sees('Free')
})

test('what the server asked is there at once, and not asked again', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const initialSubscription = await client(user).subscription()
  const initialPlans = await client(user).plans()
  const { make, sent } = page(user, card(), h(PricingTable))
  const html = renderToString(make({ initialSubscription, initialPlans }))
  assert.match(html, /Renews on/)
  assert.match(html, /Switch to Team/)
  assert.deepEqual(await hydrate(html, make({ initialSubscription, initialPlans })), [])
  await sees('Renews on')
  assert.deepEqual(sent, [])
})

test('one answer serves all components', async () => {
  const { make, sent } = page(someone(), card(), card(), h(UpgradeButton), h(PricingTable))
  await show(make())
  await sees('Choose Pro')
  assert.deepEqual(sent.sort(), ['GET /plans', 'GET /subscription'])
})

test('a person who comes back sees what has changed', async () => {
  const user = someone()
  const id = await subscribe(user, { price: 'price_pro' })
  const { make } = page(user, card())
  await show(make())
  await sees('Renews on')
  await happen(user, id, 'cancel_at_period_end', {}, (s) => s.cancel_at)
  await sees(() => {
    window.dispatchEvent(new window.Event('focus'))
    return text().includes('Ends on')
  })
})

test('another user sees nothing of the last one', async () => {
  const [one, other] = [someone(), someone()]
  await subscribe(one, { price: 'price_pro' })
  const { make } = page(one, card())
  await show(make())
  await sees('Renews on')
  await rerender(make({ userId: other, getToken: tokens(other) }))
  assert.doesNotMatch(text(), /Renews/)
  await sees('Free')
  await rerender(make({ userId: null, getToken: async () => null }))
  assert.equal(text(), '')
})

test('signed out, the prices are there and lead to the sign-in', async () => {
  const { make, sent } = page(null, h(PricingTable), card(), h(UpgradeButton))
  await show(make())
  await sees('Choose Pro')
  assert.equal(document.querySelector('[data-plan=pro] a').getAttribute('href'), '/sign-in')
  assert.deepEqual(sent, ['GET /plans'])
})

test('a failure is said in words, with the reference, and mended by another try', async () => {
  const user = someone()
  await subscribe(user, { price: 'price_pro' })
  const { make, went } = page(user, h(ManageBillingButton))
  await show(make())
  await sees(() => button('Manage billing'))
  await fail({ database: 'down' })
  await press('Manage billing')
  await sees('We can’t look up your plan at the moment')
  assert.match(text(), /Reference: [\w.-]{8}/)
  assert.equal(button('Manage billing').getAttribute('aria-busy'), null)
  await heal()
  await press('Try again')
  await sees(() => went.length === 1)
  assert.doesNotMatch(text(), /Reference/)
})

test('the service is down: it is said, and forgotten when it is back', async () => {
  const { make } = page(someone(), card())
  await run(false)
  try {
    await show(make())
    await sees('The billing service does not answer')
    assert.doesNotMatch(text(), /Free/)
  } finally {
    await run(true)
  }
  await sees('Free') // by itself
})

test('who has subscribed elsewhere is told, and sees it', async () => {
  const user = someone()
  const { make, went } = page(user, h(PricingTable))
  await show(make())
  await sees('Choose Pro')
  await subscribe(user, { price: 'price_team' })
  await press('Choose Pro')
  await sees('Your plan')
  assert.deepEqual(went, [])
})

test('prices that are known stay, and what can not be told is said', async () => {
  const user = someone()
  const initialPlans = await client(user).plans()
  const { make } = page(user, h(PricingTable))
  await fail({ database: 'down' })
  await show(make({ initialPlans, timeoutMs: 50 }))
  await sees('Try again')
  assert.match(text(), /\$19 per month/)
  assert.doesNotMatch(text(), /Choose Pro/)
})

test('all of it speaks another language', async () => {
  const { make } = page(someone(), card(), h(PricingTable))
  await show(make({ words: german }))
  await sees('Pro wählen')
  assert.match(text(), /Kostenlos.*Monatlich.*19\s\$ pro Monat/)
})

test('controls have names, and news and problems are announced', async () => {
  const { make } = page(someone(), h(PricingTable))
  await show(make())
  await sees('Choose Pro')
  assert.equal(document.querySelector('fieldset legend').textContent, 'How often to pay')
  for (const radio of document.querySelectorAll('input')) assert.ok(radio.closest('label').textContent)
  for (const each of document.querySelectorAll('button')) assert.equal(each.type, 'button')
  assert.ok(document.querySelector('[role=status]'))
})
