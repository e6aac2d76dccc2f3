// What the page says: pure functions from the service's answers to words.

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' })
const on = (time) => day.format(new Date(time))

const NAMES = { free: 'Free', pro: 'Pro', team: 'Team' }
export const planName = (plan) => NAMES[plan] ?? plan ?? 'Unknown plan'

/**
 * The status object as the account card shows it.
 *
 * mood: good, warn, bad or plain. offer: whether plans are sold. button: the main one, if it is the portal's.
 * flows: the pages of the portal to open directly; '' is its first page.
 */
export function describe(status) {
  const ends = status.cancel_at ?? (status.cancel_at_period_end ? status.current_period_end : null)
  const running = !status.can_checkout
  const customer = status.can_manage_billing
  return {
    plan: planName(status.plan),
    ...inWords(status, ends),
    offer: status.can_checkout,
    button: !customer ? null : status.needs_payment ? 'Fix payment' : running ? 'Manage billing' : null,
    flows: [
      customer && !running && '',
      customer && status.subscribed && 'subscription_update',
      customer && 'payment_method_update',
      customer && running && !ends && 'subscription_cancel',
    ].filter((flow) => flow !== false),
  }
}

function inWords(status, ends) {
  const plan = planName(status.plan)
  const back = status.subscribed ? `keep ${plan}` : `get ${plan} back`
  switch (status.status) {
    case null:
      return status.plan === 'free'
        ? { pill: '', mood: 'plain', sentence: 'Upgrade whenever you like.' }
        : { pill: 'Given', mood: 'good', sentence: 'Nothing is charged for it.' }
    case 'canceled':
      return { pill: 'Ended', mood: 'plain', sentence: `Your subscription ended on ${on(status.ended_at)}.` }
    case 'incomplete_expired':
      return { pill: 'Never began', mood: 'plain', sentence: 'The first payment did not come, so nothing was charged.' }
    case 'past_due':
    case 'unpaid':
      return { pill: 'Payment needed', mood: 'bad', sentence: `The last payment failed. Fix it to ${back}.` }
    case 'incomplete':
      return { pill: 'Payment needed', mood: 'bad', sentence: `The first payment failed. Pay to start ${plan}.` }
    case 'paused':
      return status.needs_payment
        ? { pill: 'Payment needed', mood: 'bad', sentence: `Paused until a payment arrives. Fix it to ${back}.` }
        : { pill: 'Paused', mood: 'warn', sentence: 'Nothing is charged. Resume it under Manage billing.' }
  }
  if (status.plan === null) {
    return { pill: status.status, mood: 'bad', sentence: 'You pay for a plan that we can’t name. Write to us: we mend it.' }
  }
  if (ends) return { pill: 'Ending', mood: 'warn', sentence: `Ends on ${on(ends)}. Until then all of it is yours.` }
  if (status.status === 'trialing') {
    return { pill: 'Trial', mood: 'good', sentence: `Free until ${on(status.trial_end ?? status.current_period_end)}, then paid.` }
  }
  if (status.status === 'active') {
    return { pill: 'Active', mood: 'good', sentence: `Renews on ${on(status.current_period_end)}.` }
  }
  return { pill: status.status, mood: 'warn', sentence: 'See Manage billing for what that means.' }
}

/**
 * The organizations that somebody is in, as the page names them, and what a member can't do.
 *
 * roles: by organization the role.
 */
export const organizationName = (id) => id.replace(/^org_/, '').replace(/^./, (letter) => letter.toUpperCase())
export const choices = (roles) => [
  ['', 'none'],
  ...Object.entries(roles).map(([id, role]) => [id, `${organizationName(id)} (${role})`]),
]
export function describeStanding(organization, role) {
  if (!organization) return 'Choose an organization to see its plan: here organizations pay.'
  return `You are in ${organizationName(organization)} as ${role}: its billing admins choose the plan and pay.`
}

/**
 * Each error code of the contract, and those of the network: what happened and what to do.
 *
 * cure: the button beside it. again: repeat. sign-in: with a new session. portal: manage billing.
 * temporary: worth trying again without being asked.
 */
const ERRORS = {
  unauthorized: { text: 'Your session has ended. Sign in again to go on.', cure: 'sign-in' },
  user_not_found: { text: 'We don’t know your account yet. Finish signing up, then come back.', cure: 'again' },
  no_subscription: { text: 'There is nothing to manage yet. Choose a plan first.' },
  invalid_request: { text: 'This page asked for something that can’t be. Reload it, and write to us if that does not help.' },
  invalid_signature: { text: 'This is for webhooks only. Check the signing secret.' },
  invalid_payload: { text: 'This is for webhooks only. Check what was sent.' },
  origin_not_allowed: { text: 'Billing can’t be used from this address. Open the app at its usual address.' },
  impersonation_not_allowed: { text: 'You are signed in as somebody else. Only they can change their billing.' },
  organization_required: { text: 'Choose an organization first: here organizations pay.' },
  not_billing_admin: { text: 'Only your organization’s billing admins can do this. Ask one of them.' },
  not_found: { text: 'The billing service does not know this page’s call. Reload the page to get its newest version.' },
  method_not_allowed: { text: 'The billing service does not take this page’s call. Reload the page to get its newest version.' },
  already_subscribed: { text: 'You have a subscription already. Change it under Manage billing, so that you don’t pay twice.', cure: 'portal' },
  customer_not_found: { text: 'Stripe does not know your customer account any more. Choose a plan to get a new one, or write to us.' },
  stripe_refused: { text: 'Stripe refused this, and trying again won’t help. Write to us: we look into it.' },
  rate_limited: { text: 'That was a lot of clicks. Wait a moment, then try again.', cure: 'again', temporary: true },
  portal_not_configured: { text: 'The billing portal is not set up yet. Write to us, and we do it.' },
  checkout_not_configured: { text: 'This plan can’t be bought at the moment. Choose another one, or write to us.' },
  internal_error: { text: 'Something went wrong on our side. Try again, and write to us if it stays.', cure: 'again' },
  stripe_unavailable: { text: 'Stripe does not answer at the moment. Nothing was charged: try again in a minute.', cure: 'again', temporary: true },
  database_unavailable: { text: 'We can’t look up your plan at the moment. It is safe: try again in a minute.', cure: 'again', temporary: true },
  clerk_unavailable: { text: 'We can’t check who you are at the moment. Try again in a minute.', cure: 'again', temporary: true },
  unreachable: { text: 'The billing service does not answer. Your plan is safe: try again in a moment.', cure: 'again', temporary: true },
  timeout: { text: 'The billing service took too long to answer. Try again in a moment.', cure: 'again', temporary: true },
  sandbox_unreachable: { text: 'The sandbox does not answer. Is make sandbox still running?', cure: 'again', temporary: true },
}
export const explain = (code) => ERRORS[code] ?? ERRORS.internal_error

/** What the service did with a webhook. */
export const OUTCOMES = {
  applied: 'written from the event',
  refreshed: 'Stripe was asked, the row written',
  unchanged: 'the row says so already',
  ignored: 'nothing the row needs',
  canceled: 'what ran has ended',
  scheduled: 'what runs ends with its period',
  kept: 'what runs goes on',
  updated: 'brought to the customer at Stripe',
}
