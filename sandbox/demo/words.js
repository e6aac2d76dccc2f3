// What this page says beside what the package says: frontend/src/words.

import { describe, english, explain as inWords } from './portal-service.js'

const WORDS = { ...english, locale: 'en-GB' }
const NAMES = { pro: 'Pro', team: 'Team' }
export const planName = (plan) => NAMES[plan] ?? plan

/**
 * The status object as the account card shows it.
 *
 * button: the main one, if it is the portal's. flows: the pages of the portal to open directly;
 * '' is its first page.
 */
export function view(status) {
  const shown = describe(status, { words: WORDS })
  const main = status.needs_payment || !shown.canUpgrade
  const first = shown.manage && shown.canUpgrade ? [''] : []
  return { ...shown, button: main ? shown.manage : null, flows: [...first, ...shown.flows] }
}

const SANDBOX_GONE = 'The sandbox does not answer. Is make sandbox still running?'

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

/** An error, and what helps. */
export const explain = (error) =>
  error.code === 'sandbox_unreachable'
    ? { text: SANDBOX_GONE, cure: 'try_again' }
    : inWords(error, WORDS)

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
